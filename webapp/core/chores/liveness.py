"""The board's own judgement: jobs that ran past their limit, and jobs whose runner fell silent.

A runner is silent only while the board listens. Server processes say so by ``beat``; when none has for a while, the
board itself was away, and silence counts from its return: a restart of the board never fails a healthy job.
Too long a pause taken for granted only delays a judgement; a pause overlooked would fail a healthy job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from webapp.core import clock
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs import fail_overdue
from webapp.core.lifecycle import FailureReason, JobStatus
from webapp.core.models import Base, JobRun, Listening

BEAT_EVERY = timedelta(seconds=2)
AWAY_AFTER = timedelta(seconds=5)
"""Without a beat for longer than this, no server process was listening: a machine that is busy may miss one beat, and
a server that hung for longer answered nobody. A restart may be quicker, but it shows otherwise: by a first beat."""
PAGE = 500


@dataclass(frozen=True)
class Swept:
    """How many jobs a sweep failed, by reason."""

    timed_out: int
    lost: int


def beat(*, first: bool = False) -> None:
    """Say that a server process listens now. If none did lately, this is the moment since which the board listens.

    ``first`` is the first beat of a process: if no other process has beaten in its turn, the board was restarted,
    however quickly.
    """
    now = clock.now()
    away = Listening.beat_at < now - (BEAT_EVERY if first else AWAY_AFTER)
    returned = sa.case((away, now), else_=Listening.since)
    with write_transaction() as session:
        updated = session.execute(
            sa.update(Listening).values(beat_at=now, since=returned).returning(Listening.id),
            execution_options={"synchronize_session": False},
        ).first()
        if updated is None:
            session.add(Listening(id=1, beat_at=now, since=now))


class Listened(NamedTuple):
    """The time over which the board has listened without a pause. Silence outside of it says nothing of a runner."""

    since: datetime
    until: datetime


_JUDGED_BY = (
    JobRun.workspace_id,
    JobRun.check_at,
    JobRun.started_at,
    JobRun.last_seen_at,
    JobRun.max_duration,
    JobRun.heartbeat_timeout,
)
"""All that is read of a job that is looked at; payloads are large."""


def _listened() -> Listened:
    """Up to the last beat, and not up to now: a server that has just gone may have gone after its last beat."""
    now = clock.now()
    row = db.session.execute(sa.select(Listening.beat_at, Listening.since)).first()
    return Listened(row.since, row.beat_at) if row and row.beat_at >= now - AWAY_AFTER else Listened(now, now)


def sweep(go_on: Callable[[], bool] = lambda: True) -> Swept:
    """Look at every running job whose ``check_at`` has come, fail what is overdue, and set when to look again.

    ``go_on`` is asked after each page; where it says no, the rest is left for the next sweep.
    """
    listened = _listened()
    failed = {FailureReason.TIMED_OUT: 0, FailureReason.LOST: 0}
    started = clock.now()
    while True:
        due = db.session.scalars(
            sa.select(JobRun)
            .where(JobRun.check_at <= started, JobRun.status == JobStatus.RUNNING)
            .order_by(JobRun.check_at)
            .limit(PAGE)
            .options(load_only(*_JUDGED_BY, raiseload=True))
            .execution_options(populate_existing=True)
        ).all()
        later = {}
        for job in due:
            reason, next_look = _verdict(job, listened)
            if reason is None:
                later[job] = next_look
            elif fail_overdue(job, reason, _why(job, reason)):
                failed[reason] += 1
        _look_again(later)
        if len(due) < PAGE or not go_on():
            return Swept(failed[FailureReason.TIMED_OUT], failed[FailureReason.LOST])


def _verdict(job: JobRun, listened: Listened) -> tuple[FailureReason | None, datetime]:
    """Why the job is to be failed now, or null and when to look at it again."""
    now = clock.now()
    looks = []
    if job.max_duration is not None and job.started_at is not None:
        looks.append(job.started_at + timedelta(seconds=job.max_duration))
        if looks[0] <= now:
            return FailureReason.TIMED_OUT, now
    if job.heartbeat_timeout is not None and job.last_seen_at is not None:
        patience = timedelta(seconds=job.heartbeat_timeout)
        silent_since = max(job.last_seen_at, listened.since)
        if silent_since + patience <= listened.until:
            return FailureReason.LOST, now
        looks.append(silent_since + patience)
    # At least a second on, so that one sweep never meets the same job twice.
    return None, max(min(looks), now + timedelta(seconds=1))


def _why(job: JobRun, reason: FailureReason) -> str:
    if reason is FailureReason.TIMED_OUT:
        return f"It ran longer than its limit of {job.max_duration} s."
    return f"Its runner fell silent: no news for {job.heartbeat_timeout} s."


def _look_again(later: dict[JobRun, datetime]) -> None:
    if not later:
        return
    table = Base.metadata.tables[JobRun.__tablename__]
    statement = (
        sa.update(table)
        .where(table.c.id == sa.bindparam("job_id"), table.c.check_at == sa.bindparam("read"))
        .values(check_at=sa.bindparam("next"))
    )
    with write_transaction() as session:
        session.connection().execute(
            statement, [{"job_id": job.id, "read": job.check_at, "next": at} for job, at in later.items()]
        )
