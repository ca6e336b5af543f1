"""Reads how long a type of job usually takes, and the runs that came before a job.

The usual duration is read from an index alone, of runs that completed: what failed early or was canceled says nothing
of how long the work takes.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from statistics import median

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from webapp.core.database.session import db
from webapp.core.models import JobRun

SAMPLE_SIZE = 100
"""The newest completed runs of a type that count."""
MIN_RUNS = 3
"""With fewer of them nothing is usual yet."""
EARLIER_SHOWN = 8

# As in the index ``ix_job_runs_completed``. By its status SQLite would look for them in the index by status, and
# read every completed run of the workspace.
_COMPLETED = (JobRun.completed_at.is_not(None), JobRun.failure_reason.is_(None))


def usual_durations(
    workspace_id: uuid.UUID, types: Collection[str], *, beside: uuid.UUID | None = None
) -> Mapping[str, timedelta]:
    """Return the median duration of the newest completed runs of each type, without those of which too few completed.

    ``beside`` is a job that is compared with the others, and not with itself.
    """
    if not types:
        return {}
    seconds_by_type: dict[str, list[float]] = {}
    queries = (_select_newest(workspace_id, name, beside) for name in sorted(types))
    for row in db.session.execute(sa.union_all(*queries)):
        seconds_by_type.setdefault(row.type, []).append(max(row.seconds, 0.0))
    return {
        name: timedelta(seconds=round(median(seconds), 3))
        for name, seconds in seconds_by_type.items()
        if len(seconds) >= MIN_RUNS
    }


def duration_seconds() -> sa.ColumnElement[float]:
    """Return in SQL the seconds from start to completion; on SQLite, which counts in days, to the millisecond."""
    if db.engine.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", JobRun.completed_at - JobRun.started_at), sa.Double)
    return (sa.func.julianday(JobRun.completed_at) - sa.func.julianday(JobRun.started_at)) * 86400.0


def slow_after(usual: timedelta) -> timedelta:
    """Return the duration over which a run is slower than usual. A second is nothing that anybody would notice."""
    return usual * 1.5 + timedelta(seconds=1)


def _select_newest(workspace_id: uuid.UUID, type: str, beside: uuid.UUID | None) -> sa.Select[tuple[object, ...]]:
    newest = (
        sa.select(JobRun.type, duration_seconds().label("seconds"))
        .where(JobRun.workspace_id == workspace_id, JobRun.type == type, *_COMPLETED)
        .where(JobRun.started_at.is_not(None))
        .order_by(JobRun.id.desc())
        .limit(SAMPLE_SIZE)
    )
    if beside is not None:
        newest = newest.where(JobRun.id != beside)
    return sa.select(newest.subquery())


def list_earlier(job: JobRun) -> Sequence[JobRun]:
    """Return runs of the same type and workspace created before a job, newest first, up to ``EARLIER_SHOWN``."""
    shown = (JobRun.type, JobRun.status, JobRun.started_at, JobRun.completed_at, JobRun.canceled_at, JobRun.created_at)
    query = (
        sa.select(JobRun)
        .where(JobRun.workspace_id == job.workspace_id, JobRun.type == job.type, JobRun.id < job.id)
        .order_by(JobRun.id.desc())
        .limit(EARLIER_SHOWN)
    )
    return db.session.scalars(query.options(load_only(*shown, raiseload=True))).all()
