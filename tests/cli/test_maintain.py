"""The chores in several processes: each is done by one, and when that one goes another takes over."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import SECRET_KEY
from tests.support.clock import Clock
from tests.support.jobs import RUNNER
from tests.support.paths import ROOT
from tests.support.people import Cast
from tests.support.waiting import wait_until
from webapp.core import clock as core_clock
from webapp.core import jobs
from webapp.core.chores import leases
from webapp.core.database.session import db
from webapp.core.models import Lease

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    """``start()`` runs ``flask maintain run`` as a process of its own, on the test's database."""
    environ = os.environ | {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY}
    with ExitStack() as running:

        def one() -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "flask", "--app", "wsgi", "maintain", "run"]
            process = running.enter_context(subprocess.Popen(command, cwd=ROOT, env=environ))
            running.callback(process.kill)
            return process

        yield one


def holders(app: Flask) -> dict[str, int]:
    """The number of the process that holds each lease now."""
    with app.app_context():
        rows = db.session.execute(sa.select(Lease.name, Lease.holder).where(Lease.until > core_clock.now())).all()
    return {name: int(holder.split(":")[-2]) for name, holder in rows}


def ask(app: Flask, question: str) -> object:
    """What the database answers now."""
    with app.app_context():
        return db.session.scalar(sa.text(question))


def overdue(app: Flask, cast: Cast, count: int) -> list[str]:
    """Running jobs that are past their longest run."""
    past = core_clock.now() - timedelta(hours=1)
    with app.app_context():
        ids = [jobs.enqueue_job("report", cast.acme.id, max_duration=60, by=RUNNER) for _ in range(count)]
        for job_id in ids:
            jobs.update_job_status(job_id, status="running", by=RUNNER)
        db.session.execute(
            sa.text("UPDATE job_runs SET check_at = :past, started_at = :past").bindparams(
                sa.bindparam("past", past, core_clock.UtcDateTime())
            )
        )
        db.session.commit()
    return [str(job_id) for job_id in ids]


def test_a_lease_is_one_holders_until_it_ends_or_is_given_back(core: Flask, clock: Clock) -> None:
    assert leases.take("sweep", "a")
    clock.advance(seconds=leases.DURATION.total_seconds() - 1)
    assert not leases.take("sweep", "b")
    assert leases.take("another", "b")
    assert leases.take("sweep", "a")
    clock.advance(seconds=leases.DURATION.total_seconds() + 1)
    assert leases.take("sweep", "b")
    assert not leases.take("sweep", "a")
    leases.release("sweep", "a")
    assert not leases.take("sweep", "a")
    leases.release("sweep", "b")
    assert leases.take("sweep", "a")


def test_several_processes_do_the_work_once(app: Flask, cast: Cast, start: Start) -> None:
    ids = overdue(app, cast, 40)
    for _ in range(3):
        start()
    wait_until(lambda: ask(app, "SELECT count(*) FROM job_runs WHERE status = 'running'") == 0, 30)
    with app.app_context():
        query = sa.text("SELECT count(*) FROM job_events WHERE to_status = 'failed' GROUP BY job_id")
        assert db.session.scalars(query).all() == [1] * len(ids)


def test_when_the_one_that_does_the_chores_is_told_to_end_another_takes_over(app: Flask, start: Start) -> None:
    processes = {process.pid: process for process in (start(), start())}
    wait_until(lambda: "liveness" in holders(app), 20)
    first = holders(app)["liveness"]
    processes[first].send_signal(signal.SIGTERM)
    [other] = set(processes) - {first}
    wait_until(lambda: holders(app).get("liveness") == other, 15)
    assert processes[first].wait(10) == 0


def test_when_whoever_does_the_chores_is_killed_another_takes_over_within_the_lease(
    app: Flask, cast: Cast, start: Start
) -> None:
    processes = {process.pid: process for process in (start(), start())}
    wait_until(lambda: "liveness" in holders(app), 20)
    first = holders(app)["liveness"]
    processes[first].kill()
    overdue(app, cast, 1)
    # The rest of its lease, a look of the other, and room for a busy machine.
    patience = leases.DURATION.total_seconds() + 20
    wait_until(lambda: ask(app, "SELECT failure_reason FROM job_runs") == "timed_out", patience)
