"""Jobs in every state."""

import uuid
from itertools import cycle

import sqlalchemy as sa

from tests.support.clock import Clock
from webapp.core import clock as core_clock
from webapp.core import demo_data, jobs
from webapp.core.audit import SYSTEM, Actor
from webapp.core.chores import liveness
from webapp.core.chores.liveness import SweepResult
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.lifecycle import FINAL, EventKind, FailureReason, JobStatus
from webapp.core.models import JobRun, Workspace, job_events

RUNNER = Actor("token:0193a000-0000-7000-8000-000000000001")


OPERATOR = Actor("user:0193a000-0000-7000-8000-000000000002")


def job_in(state: str, workspace: Workspace, *, by: Actor = RUNNER) -> JobRun:
    """A job in a status, or failed by the board as ``lost`` or ``timed_out``; ``by`` runs it.

    Needs a pushed context (``core``).
    """
    job_id = jobs.enqueue_job("generate-report", workspace.id, heartbeat_timeout=60, max_duration=3600, by=by)
    if state not in ("pending", "canceled"):
        jobs.update_job_status(job_id, status="running", by=by)
    if state in ("completed", "failed"):
        jobs.update_job_status(job_id, status=state, by=by)
    if state in ("lost", "timed_out"):
        running = jobs.get_job_status(job_id)
        assert jobs.fail_overdue(running, FailureReason(state), "The board says so.")
    if state == "canceled":
        jobs.cancel_job(job_id, by=OPERATOR)
    return jobs.get_job_status(job_id)


def listen(clock: Clock, seconds: int) -> SweepResult:
    """The board listens for so long, and then it sweeps. Needs a pushed context (``core``)."""
    for _ in range(0, seconds, 2):
        liveness.record_server_heartbeat()
        clock.advance(seconds=2)
    liveness.record_server_heartbeat()
    return liveness.sweep()


def fill(workspace: Workspace) -> None:
    """Give a workspace a fortnight of jobs, and the database its statistics of them.

    Without these PostgreSQL plans for a table as it was some tests ago. Needs a pushed context (``core``).
    """
    list(demo_data.seed(workspace.id, 2000, seed=1, by=SYSTEM))
    db.session.remove()
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE) job_runs")


def add_events(job_id: uuid.UUID, number: int) -> None:
    """Let a job have so many more events, as if it had been lost and found again and again. Needs a pushed context."""
    moves = (JobStatus.RUNNING, JobStatus.FAILED), (JobStatus.FAILED, JobStatus.RUNNING)
    common = {"job_id": job_id, "at": core_clock.now(), "kind": EventKind.MOVED, "by": SYSTEM.ref}
    rows = [
        common | {"from_status": before, "to_status": after, "message": f"event {n}"}
        for n, (before, after) in zip(range(number), cycle(moves), strict=False)
    ]
    with write_transaction() as session:
        session.execute(sa.insert(job_events), rows)


def final_moves(job: JobRun) -> list[str | None]:
    return [event.to_status for event in jobs.list_events(job) if event.kind == "moved" and event.to_status in FINAL]
