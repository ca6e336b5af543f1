"""The jobs above and below a job: what it is part of, and what is part of it. Never out of its own workspace."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from webapp.core.database.session import db
from webapp.core.models import JobRun

SHOWN = 20
COUNT_CAP = 1_000
"""Counting children stops here."""

_SHOWN_OF_EACH = (JobRun.type, JobRun.status, JobRun.version)


@dataclass(frozen=True)
class Children:
    """The first children of a job, in the order in which they were created, and how many more there are.

    ``capped`` means at least that many more.
    """

    jobs: Sequence[JobRun]
    more: int = 0
    capped: bool = False

    @property
    def versions(self) -> list[tuple[object, ...]]:
        """Two equal answers mean equal children."""
        return [(self.more, self.capped), *((child.id, child.version) for child in self.jobs)]

    @property
    def are_live(self) -> bool:
        """Whether one of those shown may still change."""
        return any(not child.is_final for child in self.jobs)


def children(job: JobRun) -> Children:
    """The children of a job: one read of an index where there are none, and never more than a page of rows."""
    mine = (JobRun.parent_id == job.id, JobRun.workspace_id == job.workspace_id)
    query = sa.select(JobRun).where(*mine).order_by(JobRun.id).limit(SHOWN + 1)
    query = query.options(load_only(*_SHOWN_OF_EACH, raiseload=True)).execution_options(populate_existing=True)
    found = db.session.scalars(query).all()
    if len(found) <= SHOWN:
        return Children(found)
    counted = sa.select(JobRun.id).where(*mine).limit(COUNT_CAP + SHOWN + 1).subquery()
    more = (db.session.scalar(sa.select(sa.func.count()).select_from(counted)) or 0) - SHOWN
    return Children(found[:SHOWN], min(more, COUNT_CAP), more > COUNT_CAP)


def parent(job: JobRun) -> JobRun | None:
    """The job that this one is part of."""
    if job.parent_id is None:
        return None
    query = sa.select(JobRun).where(JobRun.id == job.parent_id, JobRun.workspace_id == job.workspace_id)
    return db.session.scalar(query.options(load_only(*_SHOWN_OF_EACH, raiseload=True)))
