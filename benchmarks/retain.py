"""Measures whether deleting a million old jobs slows reports down: ``python -m benchmarks.retain --board ADDRESS``.

The board is filled already, and loses its oldest jobs. Reports arrive at a steady pace, first alone and then while
``flask maintain once`` deletes, as the chores of a board do every quarter of an hour.
"""

import os
import subprocess
import sys
import time

import click
import sqlalchemy as sa

from benchmarks import servers
from benchmarks.__main__ import drive
from benchmarks.cases import Board, build_request
from benchmarks.load import Plan
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.chores import retention
from webapp.core.database.session import db
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun, Membership, Role

REPORTERS = 20


def _count_jobs(board: Board) -> int:
    with board.app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(JobRun)) or 0


def _set_retention(board: Board, jobs: int) -> int:
    """Set retention so that about so many jobs are too old, and return how many there are now."""
    with board.app.app_context():
        oldest = sa.select(JobRun.created_at).where(JobRun.workspace_id == board.workspace_id).order_by(JobRun.id)
        end = db.session.scalar(oldest.offset(jobs).limit(1)) or clock.now()
        member = db.session.scalars(
            sa.select(Membership).where(Membership.workspace_id == board.workspace_id, Membership.role == Role.OWNER)
        ).one()
        days = max((clock.now() - end).days, 1)
        retention.set_retention(member, dict.fromkeys((JobStatus.COMPLETED, JobStatus.FAILED), days), by=SYSTEM)
    return _count_jobs(board)


@click.command()
@click.option("--board", "address", required=True, help="The DATABASE_URL of a filled board.")
@click.option("--jobs", default=1_000_000, show_default=True, help="How many are to go.")
@click.option("--updates", default=200, show_default=True, help="Reports a second.")
@click.option("--seconds", default=60.0, show_default=True, help="How long it is watched.")
def retain(address: str, jobs: int, updates: int, seconds: float) -> None:
    """Measure reports alone, and while old jobs are deleted."""
    board = Board(address)
    with servers.product(board.environ) as server:
        reports = [
            build_request("PATCH", f"/api/v1/jobs/{job_id}", {"progress": 40}, **board.bearer)
            for job_id in board.running
        ]
        plan = Plan(server.port, reports, REPORTERS, seconds, every=REPORTERS / updates)
        alone = drive(server, plan)[0]
        click.echo(f"alone: p50 {alone.p50:.1f} ms, p99 {alone.p99:.1f} ms, {alone.statuses}")
        before = _set_retention(board, jobs)
        start = time.monotonic()
        chore = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "maintain", "once"],
            cwd=servers.ROOT,
            env={**os.environ, **board.environ},
            stdout=subprocess.DEVNULL,
        )
        loaded = drive(server, plan)[0]
        duration = time.monotonic() - start
        gone = before - _count_jobs(board)
        click.echo(f"beside: p50 {loaded.p50:.1f} ms, p99 {loaded.p99:.1f} ms, {loaded.statuses}")
        click.echo(f"{gone:,} jobs gone after {duration:.0f} s, {gone / duration:,.0f} a second")
        chore.terminate()
        chore.wait()
    board.close()


if __name__ == "__main__":
    retain()
