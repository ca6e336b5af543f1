"""Keeps for how long a workspace keeps its finished jobs, and deletes what is older. Off until set.

A job is as old as its end: ``completed_at``, or ``canceled_at``. The sweep walks the index over (workspace,
status, id), from the oldest job on. An id shows when its job was created, and no job ends before that: what ended N
days ago stands among the ids of N days ago and before, and there each job's end is read. Jobs that waited or ran
across that line are met again by each sweep and left, and they are few.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import upsert
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Invalid
from webapp.core.jobs import store
from webapp.core.jobs.listing import COUNT_CAP, Count, cap_count
from webapp.core.lifecycle import FINAL, JobStatus
from webapp.core.limits import limits
from webapp.core.models import Membership, Retention, first_id, job_runs, retentions
from webapp.core.workspaces.workspaces import require_manager

STATUSES = tuple(status for status in JobStatus if status in FINAL)
"""What retention can be set for: a job that is not finished is never deleted."""
MAX_DAYS = 3650
DAYS_RULE = f"A whole number of days from 1 to {MAX_DAYS}, or nothing."
BATCH_SIZE = 500
"""Jobs deleted in one transaction: a few hundredths of a second, after which others write."""

Days = Mapping[JobStatus, int]
"""For how many days the jobs of a status are kept; a status that is missing is kept for ever."""


# --- settings ----------------------------------------------------------------------------------------------------


def get_retention(workspace_id: uuid.UUID) -> Days:
    """Return what a workspace has set."""
    query = sa.select(Retention.status, Retention.days).where(Retention.workspace_id == workspace_id)
    return {row.status: row.days for row in db.session.execute(query)}


def list_all() -> Mapping[uuid.UUID, Days]:
    """Return what has been set in any workspace: for the chores and the command line alone."""
    by_workspace: dict[uuid.UUID, dict[JobStatus, int]] = {}
    query = sa.select(Retention.workspace_id, Retention.status, Retention.days)
    for workspace_id, status, days in db.session.execute(query.order_by(Retention.workspace_id, Retention.status)):
        by_workspace.setdefault(workspace_id, {})[status] = days
    return by_workspace


def validate(days: Days) -> None:
    """Refuse what retention cannot be set to. Raises ``Invalid`` with every fault."""
    faults = [
        Fault((status.value,), DAYS_RULE)
        if status in STATUSES
        else Fault((status.value,), "Only finished jobs are deleted.")
        for status, kept in days.items()
        if status not in STATUSES or not 1 <= kept <= MAX_DAYS
    ]
    if faults:
        raise Invalid(faults)


def set_retention(member: Membership, days: Days, *, by: Actor) -> None:
    """Set for how long a workspace keeps its jobs, in place of what was set; what ``days`` leaves out is kept for ever.

    Raises ``Forbidden`` unless ``member`` may change the settings, and ``Invalid``.
    """
    require_manager(member)
    validate(days)
    of_workspace = retentions.c.workspace_id == member.workspace_id
    with write_transaction() as session:
        # Of two who set it at once the later one's words stand, and not some of each.
        limits.lock(session, limits.of_workspace(member.workspace_id))
        rows = session.execute(sa.select(retentions.c.status, retentions.c.days).where(of_workspace))
        if {row.status: row.days for row in rows} == dict(days):
            return
        session.execute(sa.delete(retentions).where(of_workspace, retentions.c.status.not_in(list(days))))
        for status, kept in days.items():
            key = {"workspace_id": member.workspace_id, "status": status}
            session.execute(upsert(retentions, key, {"days": kept}))
        audit.record(
            session,
            "retention.set" if days else "retention.removed",
            f"workspace:{member.workspace_id}",
            by=by,
            workspace_id=member.workspace_id,
            detail={status.value: days.get(status) for status in STATUSES},
        )


# --- preview -----------------------------------------------------------------------------------------------------


def count_due(workspace_id: uuid.UUID, days: Days, *, cap: int | None = COUNT_CAP) -> Mapping[JobStatus, Count]:
    """Count the jobs that a sweep would delete now, were ``days`` set; deletes nothing. Counting stops at ``cap``."""
    now = clock.now()
    return {
        status: _count(_is_old(workspace_id, status, now - timedelta(days=kept)), cap) for status, kept in days.items()
    }


def _count(is_old: Sequence[sa.ColumnElement[bool]], cap: int | None) -> Count:
    query = sa.select(job_runs.c.id).where(*is_old)
    if cap is not None:
        query = query.limit(cap + 1)
    count = db.session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
    return Count(count, False) if cap is None else cap_count(count, cap)


def _is_old(workspace_id: uuid.UUID, status: JobStatus, before: datetime) -> Sequence[sa.ColumnElement[bool]]:
    """Return what must hold of the jobs of a status that ended before that time."""
    end = job_runs.c.canceled_at if status is JobStatus.CANCELED else job_runs.c.completed_at
    return (
        job_runs.c.workspace_id == workspace_id,
        job_runs.c.status == status,
        job_runs.c.id < first_id(before),
        end < before,
    )


# --- the sweep ---------------------------------------------------------------------------------------------------


def sweep(go_on: Callable[[], bool] = lambda: True) -> int:
    """Delete what is older than its workspace keeps it, in batches. Returns how many jobs that were.

    ``go_on`` is asked after each batch; where it says no, the rest is left for the next sweep.
    """
    total = 0
    for workspace_id, days in list_all().items():
        for status, kept in days.items():
            is_old = _is_old(workspace_id, status, clock.now() - timedelta(days=kept))
            for batch in _iterate_batches(is_old):
                deleted = _delete_batch(batch, [*is_old, _is_still_set(workspace_id, status, kept)])
                total += deleted
                if not go_on():
                    return total
                if not deleted:
                    break
    return total


def _is_still_set(workspace_id: uuid.UUID, status: JobStatus, days: int) -> sa.ColumnElement[bool]:
    """Return in SQL that nobody has meanwhile set to keep these jobs for longer:

    a long sweep must notice that at once.
    """
    is_set = retentions.c.workspace_id == workspace_id, retentions.c.status == status
    return sa.exists().where(*is_set, retentions.c.days <= days)


def _iterate_batches(is_old: Sequence[sa.ColumnElement[bool]]) -> Iterator[Sequence[uuid.UUID]]:
    """Yield the ids of old jobs, oldest first. Each batch begins behind the one before, whatever became of that one."""
    last = uuid.UUID(int=0)
    while True:
        query = sa.select(job_runs.c.id).where(*is_old, job_runs.c.id > last).order_by(job_runs.c.id).limit(BATCH_SIZE)
        batch = db.session.scalars(query).all()
        if batch:
            yield batch
        if len(batch) < BATCH_SIZE:
            return
        last = batch[-1]


def _delete_batch(batch: Sequence[uuid.UUID], is_old: Sequence[sa.ColumnElement[bool]]) -> int:
    """Delete those of a batch that are old still, with all that is theirs. Returns how many that were.

    A lost job may have reported since it was read. What somebody writes to at this moment is left for the next sweep.
    """
    with write_transaction() as session:
        still = sa.select(job_runs.c.id).where(job_runs.c.id.in_(batch), *is_old).order_by(job_runs.c.id)
        ids = session.scalars(still.with_for_update(skip_locked=True)).all()
        if ids:
            store.delete_jobs(session, ids)
        return len(ids)
