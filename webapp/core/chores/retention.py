"""Retention: for how long a workspace keeps its finished jobs. Off until set; then the chores delete what is older.

How old a job is, its end tells: ``completed_at``, or ``canceled_at``. The sweep walks the index over (workspace,
status, id), from the oldest job on. An id tells when its job was created, and no job ends before that: whoever ended N
days ago stands among the ids of N days ago and before, and there each job is asked for its end. Jobs that waited or ran
across that line are met again by each sweep and left, and they are few.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import upsert
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Invalid
from webapp.core.jobs.listing import COUNT_CAP, Count
from webapp.core.lifecycle import FINAL, JobStatus
from webapp.core.models import (
    Base,
    IdempotencyKey,
    JobEvent,
    JobRun,
    JobTag,
    LogLine,
    LogTail,
    Membership,
    Retention,
    first_id,
)
from webapp.core.workspaces.workspaces import require_manager

STATUSES = tuple(status for status in JobStatus if status in FINAL)
"""What retention can be set for: a job that is not finished is never deleted."""
MAX_DAYS = 3650
A_NUMBER = f"A whole number of days from 1 to {MAX_DAYS}, or nothing."
BATCH = 500
"""Jobs deleted in one transaction: a few hundredths of a second, after which others write."""

_RETENTIONS = Base.metadata.tables[Retention.__tablename__]
_JOBS = Base.metadata.tables[JobRun.__tablename__]
_job = _JOBS.c
_PIECES = [Base.metadata.tables[model.__tablename__].c.job_id for model in (JobEvent, LogLine, LogTail, JobTag)]
_PIECES.append(Base.metadata.tables[IdempotencyKey.__tablename__].c.job_id)
"""What a job takes along. The database would do it row by row; a statement for a batch is far faster."""

Days = Mapping[JobStatus, int]
"""For how many days the jobs of a status are kept; a status that is missing is kept for ever."""


# --- what is set -------------------------------------------------------------------------------------------------


def of_workspace(workspace_id: uuid.UUID) -> Days:
    """What a workspace has set."""
    query = sa.select(Retention.status, Retention.days).where(Retention.workspace_id == workspace_id)
    return {row.status: row.days for row in db.session.execute(query)}


def everywhere() -> Mapping[uuid.UUID, Days]:
    """What has been set in any workspace: for the chores and the command line alone."""
    found: dict[uuid.UUID, dict[JobStatus, int]] = {}
    query = sa.select(Retention.workspace_id, Retention.status, Retention.days)
    for workspace_id, status, days in db.session.execute(query.order_by(Retention.workspace_id, Retention.status)):
        found.setdefault(workspace_id, {})[status] = days
    return found


def check(days: Days) -> None:
    """Raises ``Invalid`` with every fault."""
    faults = [
        Fault((status.value,), A_NUMBER)
        if status in STATUSES
        else Fault((status.value,), "Only finished jobs are deleted.")
        for status, kept in days.items()
        if status not in STATUSES or not 1 <= kept <= MAX_DAYS
    ]
    if faults:
        raise Invalid(faults)


def put(member: Membership, days: Days, *, by: Actor) -> None:
    """Set for how long a workspace keeps its jobs, in place of what was set; what ``days`` leaves out is kept for ever.

    Raises ``Forbidden`` unless ``member`` may change the settings, and ``Invalid``.
    """
    require_manager(member)
    check(days)
    mine = _RETENTIONS.c.workspace_id == member.workspace_id
    with write_transaction() as session:
        rows = session.execute(sa.select(_RETENTIONS.c.status, _RETENTIONS.c.days).where(mine))
        if {row.status: row.days for row in rows} == dict(days):
            return
        session.execute(sa.delete(_RETENTIONS).where(mine, _RETENTIONS.c.status.not_in(list(days))))
        for status, kept in days.items():
            key = {"workspace_id": member.workspace_id, "status": status}
            session.execute(upsert(_RETENTIONS, key, {"days": kept}))
        audit.record(
            session,
            "retention.set" if days else "retention.removed",
            f"workspace:{member.workspace_id}",
            by=by,
            workspace_id=member.workspace_id,
            detail={status.value: days.get(status) for status in STATUSES},
        )


# --- what would go -----------------------------------------------------------------------------------------------


def due(workspace_id: uuid.UUID, days: Days, *, cap: int | None = COUNT_CAP) -> Mapping[JobStatus, Count]:
    """How many jobs a sweep would delete now, were ``days`` set; deletes nothing. Counting stops at ``cap``."""
    now = clock.now()
    return {
        status: _count(_old(workspace_id, status, now - timedelta(days=kept)), cap) for status, kept in days.items()
    }


def _count(old: Sequence[sa.ColumnElement[bool]], cap: int | None) -> Count:
    found = sa.select(_job.id).where(*old)
    if cap is not None:
        found = found.limit(cap + 1)
    count = db.session.scalar(sa.select(sa.func.count()).select_from(found.subquery())) or 0
    return Count(count, False) if cap is None else Count(min(count, cap), count > cap)


def _old(workspace_id: uuid.UUID, status: JobStatus, before: datetime) -> Sequence[sa.ColumnElement[bool]]:
    """The jobs of a status that ended before that moment."""
    end = _job.canceled_at if status is JobStatus.CANCELED else _job.completed_at
    return _job.workspace_id == workspace_id, _job.status == status, _job.id < first_id(before), end < before


# --- the sweep ---------------------------------------------------------------------------------------------------


def sweep(go_on: Callable[[], bool] = lambda: True) -> int:
    """Delete what is older than its workspace keeps it, in batches; returns how many jobs that were.

    ``go_on`` is asked after each batch; where it says no, the rest is left for the next sweep.
    """
    gone = 0
    for workspace_id, days in everywhere().items():
        for status, kept in days.items():
            old = _old(workspace_id, status, clock.now() - timedelta(days=kept))
            for batch in _batches(old):
                deleted = _delete(batch, [*old, _is_still_set(workspace_id, status, kept)])
                gone += deleted
                if not go_on():
                    return gone
                if not deleted:
                    break
    return gone


def _is_still_set(workspace_id: uuid.UUID, status: JobStatus, days: int) -> sa.ColumnElement[bool]:
    """That nobody has meanwhile asked to keep these jobs for longer: a long sweep must hear of that at once."""
    mine = _RETENTIONS.c.workspace_id == workspace_id, _RETENTIONS.c.status == status
    return sa.exists().where(*mine, _RETENTIONS.c.days <= days)


def _batches(old: Sequence[sa.ColumnElement[bool]]) -> Iterator[Sequence[uuid.UUID]]:
    """The ids of old jobs, oldest first. Each batch begins behind the one before, whatever became of that one."""
    last = uuid.UUID(int=0)
    while True:
        query = sa.select(_job.id).where(*old, _job.id > last).order_by(_job.id).limit(BATCH)
        batch = db.session.scalars(query).all()
        if batch:
            yield batch
        if len(batch) < BATCH:
            return
        last = batch[-1]


def _delete(batch: Sequence[uuid.UUID], old: Sequence[sa.ColumnElement[bool]]) -> int:
    """Delete those of a batch that are ``old`` still, with all that is theirs; how many that were.

    A lost job may have spoken since it was found. What somebody writes to at this moment is left for the next sweep.
    """
    with write_transaction() as session:
        still = sa.select(_job.id).where(_job.id.in_(batch), *old).order_by(_job.id)
        ids = session.scalars(still.with_for_update(skip_locked=True)).all()
        if ids:
            delete_jobs(session, ids)
        return len(ids)


def delete_jobs(session: Session, ids: Sequence[uuid.UUID]) -> None:
    """Delete jobs with all that is theirs, within a transaction that has locked them."""
    for job_id in _PIECES:
        session.execute(sa.delete(job_id.table).where(job_id.in_(ids)))
    # A child that stays has changed: whoever holds its former version must see that.
    orphaned = sa.update(_JOBS).where(_job.parent_id.in_(ids), _job.id.not_in(ids))
    session.execute(orphaned.values(parent_id=None, version=_job.version + 1))
    session.execute(sa.delete(_JOBS).where(_job.id.in_(ids)))
