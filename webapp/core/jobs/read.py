"""Reads one job: the third of the four verbs, its history, its parent and its children."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import load_only, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from webapp.core.database.paging import split_page
from webapp.core.database.session import db
from webapp.core.errors import NotFound
from webapp.core.models import JobEvent, JobRun, JobSnapshot

CHILDREN_SHOWN = 20
CHILD_COUNT_CAP = 1_000
"""Counting children stops here."""

EVENT_COUNT_CAP = 10_000
"""Counting the events of a history stops here."""

_FAMILY_COLUMNS = (JobRun.type, JobRun.status, JobRun.version)


def get_job_status(job_id: uuid.UUID, *, within: uuid.UUID | None = None) -> JobRun:
    """Return the job as it stands. Raises ``NotFound``, also for a job of another workspace.

    Commits what the caller's database session has under way: the answer is how things stand now, not when an earlier
    transaction began.
    """
    # On SQLite an open read transaction sees the past, and code that polls in one context would see it for ever.
    db.session.commit()
    query = sa.select(JobRun).where(JobRun.id == job_id).execution_options(populate_existing=True)
    if within is not None:
        query = query.where(JobRun.workspace_id == within)
    job = db.session.scalar(query)
    if job is None:
        raise NotFound("There is no such job.")
    return job


def to_orm(snapshot: JobSnapshot) -> JobRun:
    """Return the session's object for a snapshot; a payload that is missing is loaded when it is used."""
    job = JobRun()
    for name, value in snapshot._asdict().items():
        if name != "payload" or value is not None:
            set_committed_value(job, name, value)
    make_transient_to_detached(job)
    return db.session.merge(job, load=False)


def list_events(job: JobRun) -> Sequence[JobEvent]:
    """Return everything that happened to a job, oldest first. A job that is lost and found has many events."""
    return db.session.scalars(sa.select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.id)).all()


def list_events_after(job: JobRun, number: int, *, limit: int) -> tuple[Sequence[JobEvent], bool]:
    """Return up to ``limit`` events after the one of this number, oldest first, and whether more follow.

    Events are numbered by their place in the job's history, from 1; none is ever put between others.
    """
    events = sa.select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.id)
    if number:
        # Only the index is read up to there.
        first = sa.select(JobEvent.id).where(JobEvent.job_id == job.id).order_by(JobEvent.id).offset(number).limit(1)
        events = events.where(JobEvent.id >= first.scalar_subquery())
    return split_page(db.session.scalars(events.limit(limit + 1)).all(), limit)


@dataclass(frozen=True)
class RecentEvents:
    """The newest events of a history, oldest first, and how many are before them; ``capped`` means at least so many."""

    events: Sequence[JobEvent]
    earlier: int = 0
    capped: bool = False


def list_recent_events(job: JobRun, *, limit: int) -> RecentEvents:
    """Read the end of a job's history: one read of an index where it is short."""
    newest_first = sa.select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.id.desc()).limit(limit + 1)
    newest, has_more = split_page(db.session.scalars(newest_first).all(), limit)
    events = newest[::-1]
    if not has_more:
        return RecentEvents(events)
    up_to_cap = sa.select(JobEvent.id).where(JobEvent.job_id == job.id).limit(EVENT_COUNT_CAP + limit + 1).subquery()
    earlier = (db.session.scalar(sa.select(sa.func.count()).select_from(up_to_cap)) or 0) - limit
    return RecentEvents(events, min(earlier, EVENT_COUNT_CAP), earlier > EVENT_COUNT_CAP)


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
        """Return what differs whenever the children differ."""
        return [(self.more, self.capped), *((child.id, child.version) for child in self.jobs)]

    @property
    def are_live(self) -> bool:
        """Return whether one of those shown may still change."""
        return any(not child.is_final for child in self.jobs)


def list_children(job: JobRun) -> Children:
    """Read the children of a job: one read of an index where there are none, and never more than a page of rows."""
    is_child = (JobRun.parent_id == job.id, JobRun.workspace_id == job.workspace_id)
    query = sa.select(JobRun).where(*is_child).order_by(JobRun.id).limit(CHILDREN_SHOWN + 1)
    query = query.options(load_only(*_FAMILY_COLUMNS, raiseload=True)).execution_options(populate_existing=True)
    children, has_more = split_page(db.session.scalars(query).all(), CHILDREN_SHOWN)
    if not has_more:
        return Children(children)
    up_to_cap = sa.select(JobRun.id).where(*is_child).limit(CHILD_COUNT_CAP + CHILDREN_SHOWN + 1).subquery()
    more = (db.session.scalar(sa.select(sa.func.count()).select_from(up_to_cap)) or 0) - CHILDREN_SHOWN
    return Children(children, min(more, CHILD_COUNT_CAP), more > CHILD_COUNT_CAP)


def get_parent(job: JobRun) -> JobRun | None:
    """Return the job that this one is part of."""
    if job.parent_id is None:
        return None
    query = sa.select(JobRun).where(JobRun.id == job.parent_id, JobRun.workspace_id == job.workspace_id)
    return db.session.scalar(query.options(load_only(*_FAMILY_COLUMNS, raiseload=True)))
