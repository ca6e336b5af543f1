"""Fails jobs that ran past their time limit, and jobs whose runner fell silent.

A runner is silent only while the board listens, and could take its report. Server processes record that by
``record_server_heartbeat``; when none has for a while, the board itself was away, and silence counts from its return: a
restart of the board never fails a healthy job. Too long a pause taken for granted only delays a failure; a pause
overlooked would fail a healthy job.
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
from webapp.core.jobs import fail_overdue, store
from webapp.core.lifecycle import FailureReason, JobStatus
from webapp.core.models import JobRun, ServerHeartbeat

SERVER_HEARTBEAT_EVERY = timedelta(seconds=2)
AWAY_AFTER = timedelta(seconds=5)
"""Without a heartbeat for longer than this, no server process was listening: a machine that is busy may miss one, and a
server that hung for longer answered nobody. A restart may be quicker, but it shows otherwise: by a first heartbeat."""
PAGE_SIZE = 500


@dataclass(frozen=True)
class SweepResult:
    """How many jobs a sweep failed, by reason."""

    timed_out: int
    lost: int


def record_server_heartbeat(*, first: bool = False) -> None:
    """Record that a server process listens now, which is to say that reports could be taken.

    If none did lately, the board has been listening since now. Raises ``OperationalError`` while reports could not be
    written: what locks a table of jobs makes every runner silent.

    ``first`` is the first heartbeat of a process: if no other process sent one in its turn, the board was restarted,
    however quickly.
    """
    store.require_reports_possible()
    now = clock.now()
    was_away = ServerHeartbeat.beat_at < now - (SERVER_HEARTBEAT_EVERY if first else AWAY_AFTER)
    since = sa.case((was_away, now), else_=ServerHeartbeat.since)
    with write_transaction() as session:
        updated = session.execute(
            sa.update(ServerHeartbeat).values(beat_at=now, since=since).returning(ServerHeartbeat.id),
            execution_options={"synchronize_session": False},
        ).first()
        if updated is None:
            session.add(ServerHeartbeat(id=1, beat_at=now, since=now))


class ListeningPeriod(NamedTuple):
    """The time over which the board has listened without a pause. Silence outside of it says nothing of a runner."""

    since: datetime
    until: datetime


_LIVENESS_COLUMNS = (
    JobRun.workspace_id,
    JobRun.check_at,
    JobRun.started_at,
    JobRun.last_seen_at,
    JobRun.max_duration,
    JobRun.heartbeat_timeout,
)
"""All that is read of a job that is checked; payloads are large."""


def _get_listening_period() -> ListeningPeriod:
    """Return the period up to the last heartbeat, and not up to now: a server may have gone since."""
    now = clock.now()
    row = db.session.execute(sa.select(ServerHeartbeat.beat_at, ServerHeartbeat.since)).first()
    return (
        ListeningPeriod(row.since, row.beat_at)
        if row and row.beat_at >= now - AWAY_AFTER
        else ListeningPeriod(now, now)
    )


def sweep(go_on: Callable[[], bool] = lambda: True) -> SweepResult:
    """Check every running job whose ``check_at`` has come, fail what is overdue, and set when to check again.

    ``go_on`` is asked after each page; where it says no, the rest is left for the next sweep.
    """
    period = _get_listening_period()
    failed = {FailureReason.TIMED_OUT: 0, FailureReason.LOST: 0}
    started = clock.now()
    while True:
        due = db.session.scalars(
            sa.select(JobRun)
            .where(JobRun.check_at <= started, JobRun.status == JobStatus.RUNNING)
            .order_by(JobRun.check_at)
            .limit(PAGE_SIZE)
            .options(load_only(*_LIVENESS_COLUMNS, raiseload=True))
            .execution_options(populate_existing=True)
        ).all()
        checks = []
        for job in due:
            reason, next_check_at = _check(job, period)
            if reason is None:
                checks.append((job.id, job.check_at, next_check_at))
            elif fail_overdue(job, reason, _describe(job, reason)):
                failed[reason] += 1
        store.reschedule_checks(checks)
        if len(due) < PAGE_SIZE or not go_on():
            return SweepResult(failed[FailureReason.TIMED_OUT], failed[FailureReason.LOST])


def _check(job: JobRun, period: ListeningPeriod) -> tuple[FailureReason | None, datetime]:
    """Return why the job is to be failed now, or ``None`` and when to check it again."""
    now = clock.now()
    check_times = []
    if job.max_duration is not None and job.started_at is not None:
        check_times.append(job.started_at + timedelta(seconds=job.max_duration))
        if check_times[0] <= now:
            return FailureReason.TIMED_OUT, now
    if job.heartbeat_timeout is not None and job.last_seen_at is not None:
        timeout = timedelta(seconds=job.heartbeat_timeout)
        silent_since = max(job.last_seen_at, period.since)
        if silent_since + timeout <= period.until:
            return FailureReason.LOST, now
        check_times.append(silent_since + timeout)
    # At least a second on, so that one sweep never meets the same job twice.
    return None, max(min(check_times), now + timedelta(seconds=1))


def _describe(job: JobRun, reason: FailureReason) -> str:
    if reason is FailureReason.TIMED_OUT:
        return f"It ran longer than its limit of {job.max_duration} s."
    return f"Its runner fell silent: no news for {job.heartbeat_timeout} s."
