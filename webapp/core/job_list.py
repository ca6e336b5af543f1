"""The only place that lists jobs: what to filter by, one page, the counts on the tabs.

Pages follow each other by key, newest first, so that page 1,000 costs what page 1 costs. A list never loads payload,
result or error: they may be large, and no list shows them.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun, JobTag
from webapp.extensions import db

COUNT_CAP = 10_000
"""Counting stops here, so that a tab costs the same at a million jobs."""
TYPES_SHOWN = 200

_ROW = [
    getattr(JobRun, column.key)
    for column in JobRun.__table__.columns
    if column.key not in ("payload", "result", "error")
]


@dataclass(frozen=True)
class JobFilter:
    """Which jobs of a workspace are meant. An empty filter means all; the bounds of time are exclusive."""

    statuses: tuple[JobStatus, ...] = ()
    type: str | None = None
    tag: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class JobPage:
    """One page of jobs, newest first, and the key at which the next one begins; null at the end."""

    jobs: Sequence[JobRun]
    next_cursor: uuid.UUID | None


@dataclass(frozen=True)
class Count:
    """How many there are; ``capped`` means at least that many."""

    count: int
    capped: bool


def _matching(workspace_id: uuid.UUID, wanted: JobFilter) -> list[sa.ColumnElement[bool]]:
    conditions = [JobRun.workspace_id == workspace_id]
    if wanted.statuses:
        conditions.append(JobRun.status.in_(wanted.statuses))
    if wanted.type is not None:
        conditions.append(JobRun.type == wanted.type)
    if wanted.tag is not None:
        tagged = sa.select(JobTag.job_id).where(JobTag.workspace_id == workspace_id, JobTag.tag == wanted.tag)
        conditions.append(JobRun.id.in_(tagged))
    if wanted.created_after is not None:
        conditions.append(JobRun.created_at > wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(JobRun.created_at < wanted.created_before)
    return conditions


def one_page(
    workspace_id: uuid.UUID,
    wanted: JobFilter,
    *,
    limit: int,
    cursor: uuid.UUID | None = None,
    with_error: bool = False,
) -> JobPage:
    """The ``limit`` newest matching jobs, or those older than ``cursor``. A job that is gone breaks no cursor.

    ``with_error`` loads the errors too, for runners; the board's own list does without.
    """
    row = [*_ROW, JobRun.error] if with_error else _ROW
    query = sa.select(JobRun).where(*_matching(workspace_id, wanted)).options(load_only(*row, raiseload=True))
    if cursor is not None:
        query = query.where(JobRun.id < cursor)
    query = query.order_by(JobRun.id.desc()).limit(limit + 1).execution_options(populate_existing=True)
    jobs = db.session.scalars(query).all()
    more = len(jobs) > limit
    return JobPage(jobs[:limit], jobs[limit - 1].id if more else None)


def versions(
    workspace_id: uuid.UUID, wanted: JobFilter, *, limit: int, cursor: uuid.UUID | None = None
) -> Sequence[tuple[uuid.UUID, int]]:
    """The ids and versions of a page and of the job after it: equal pairs mean an equal page, far cheaper."""
    query = sa.select(JobRun.id, JobRun.version).where(*_matching(workspace_id, wanted))
    if cursor is not None:
        query = query.where(JobRun.id < cursor)
    rows = db.session.execute(query.order_by(JobRun.id.desc()).limit(limit + 1))
    return [(row.id, row.version) for row in rows]


def counts(workspace_id: uuid.UUID, wanted: JobFilter) -> Mapping[JobStatus, Count]:
    """How many jobs of each status match, whatever statuses the filter names; counting stops at ``COUNT_CAP``."""
    conditions = _matching(workspace_id, replace(wanted, statuses=()))
    found = [
        sa.select(sa.func.count())
        .select_from(sa.select(JobRun.id).where(*conditions, JobRun.status == status).limit(COUNT_CAP + 1).subquery())
        .scalar_subquery()
        for status in JobStatus
    ]
    row = db.session.execute(sa.select(*found)).one()
    return {
        status: Count(min(count, COUNT_CAP), count > COUNT_CAP) for status, count in zip(JobStatus, row, strict=True)
    }


def types(workspace_id: uuid.UUID) -> Sequence[str]:
    """The types of job in a workspace, by name, the first ``TYPES_SHOWN``.

    Leaps from one type to the next in the index; DISTINCT would read every row of the workspace.
    """
    mine = JobRun.workspace_id == workspace_id
    first = sa.select(sa.func.min(JobRun.type).label("type"), sa.literal(1).label("n")).where(mine)
    found = first.cte("found", recursive=True)
    following = sa.select(sa.func.min(JobRun.type)).where(mine, JobRun.type > found.c.type).scalar_subquery()
    found = found.union_all(
        sa.select(following, found.c.n + 1).where(found.c.type.is_not(None), found.c.n < TYPES_SHOWN)
    )
    return db.session.scalars(sa.select(found.c.type).where(found.c.type.is_not(None)).order_by(found.c.n)).all()
