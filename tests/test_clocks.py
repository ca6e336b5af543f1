"""Several machines on one PostgreSQL, whose clocks differ: the clock of the database decides for all."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import SECRET_KEY, dispose, make_app
from tests.support.jobs import RUNNER
from tests.support.pages import csrf_token
from tests.support.paths import ROOT
from tests.support.people import PASSWORD, Cast
from tests.support.servers import board
from tests.support.waiting import wait_until
from torture.board import write_clock_module
from webapp.core import clock, jobs
from webapp.core.accounts import accounts
from webapp.core.chores import leases
from webapp.core.database import server_clock
from webapp.core.database.session import db
from webapp.core.models import Lease


@pytest.fixture(params=["postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Who shares a SQLite file shares a machine."""
    return str(request.param)


@pytest.fixture
def machine(tmp_path: Path) -> str:
    """A folder for PYTHONPATH that puts the clock of a process so many seconds ahead as CLOCK_AHEAD says."""
    return write_clock_module(tmp_path)


def sign_in(browser: httpx.Client, address: str, email: str) -> None:
    form = csrf_token(browser.get(f"{address}/login").text)
    answer = browser.post(f"{address}/login", data={"email": email, "password": PASSWORD, "csrf_token": form})
    assert answer.status_code == 303, answer.text


def test_servers_whose_clocks_differ_by_minutes_are_one_board(
    app: Flask, url: str, cast: Cast, token: str, tmp_path: Path, machine: str
) -> None:
    # One board has one address and one cookie, whichever machine answers.
    same = {"PUBLIC_URL": "http://127.0.0.1:8000", "COOKIE_NAME": "callboard"}
    ahead = same | {"PYTHONPATH": machine, "CLOCK_AHEAD": "600.4"}
    with board(url, tmp_path, environ=same) as right, board(url, tmp_path, environ=ahead) as wrong:
        for here, there in (right, wrong), (wrong, right):
            with httpx.Client(trust_env=False) as browser:
                sign_in(browser, here, "ada@example.com")
                for address in (there, here, there):
                    assert browser.get(f"{address}/w/acme/jobs").status_code == 200
        for address in (right, wrong):
            headers = {"Authorization": f"Bearer {token}"}
            job = httpx.post(f"{address}/api/v1/jobs", json={"type": "t"}, headers=headers, trust_env=False).json()
            age = datetime.now(UTC) - datetime.fromisoformat(job["created_at"])
            assert abs(age) < timedelta(seconds=5)


def test_chores_whose_clock_is_behind_find_a_job_out_of_time_and_spare_the_others(
    app: Flask, url: str, cast: Cast, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        late, healthy = (
            jobs.enqueue_job("t", cast.acme.id, max_duration=limit, heartbeat_timeout=limit, by=RUNNER)
            for limit in (1, 60)
        )
        now = clock.now()
        with monkeypatch.context() as earlier:
            earlier.setattr(clock, "now", lambda: now - timedelta(seconds=10))
            for job_id in (late, healthy):
                jobs.update_job_status(job_id, status="running", by=RUNNER)
    for behind in ("-600", "600"):
        environ = {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "PYTHONPATH": machine, "CLOCK_AHEAD": behind}
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "maintain", "once"]
        subprocess.run(command, cwd=ROOT, env=os.environ | environ, check=True, capture_output=True)
    with app.app_context():
        assert jobs.get_job_status(late).failure_reason == "timed_out"
        assert jobs.get_job_status(healthy).status == "running"


def test_chores_of_a_machine_that_is_ahead_begin_at_once_and_hold_no_longer(
    app: Flask, url: str, cast: Cast, machine: str
) -> None:
    with app.app_context():
        late = jobs.enqueue_job("t", cast.acme.id, max_duration=1, by=RUNNER)
        jobs.update_job_status(late, status="running", by=RUNNER)
    environ = {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "PYTHONPATH": machine, "CLOCK_AHEAD": "600"}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "maintain", "run"]
    with app.app_context(), subprocess.Popen(command, cwd=ROOT, env=os.environ | environ) as chores:
        try:
            wait_until(lambda: jobs.get_job_status(late).failure_reason == "timed_out")
            ends = db.session.scalars(sa.select(Lease.until)).all()
        finally:
            chores.terminate()
    assert ends
    assert max(ends) <= clock.now() + leases.DURATION


def test_an_account_made_on_a_machine_that_is_ahead_has_the_time_of_the_board(
    app: Flask, url: str, machine: str
) -> None:
    environ = {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "PYTHONPATH": machine, "CLOCK_AHEAD": "600"}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "create", "ada@example.com", "--name", "Ada"]
    command.append("--password-stdin")
    subprocess.run(command, cwd=ROOT, env=os.environ | environ, check=True, input=PASSWORD, text=True)
    with app.app_context():
        user = accounts.get_by_email("ada@example.com")
        assert timedelta(0) <= clock.now() - user.created_at < timedelta(minutes=1)
        assert user.email_verified_at == user.created_at


def test_a_clock_that_is_set_while_the_board_runs_is_noticed_and_told_once(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clock, "_ahead", 0.0)
    monkeypatch.setattr(server_clock, "_warned_of", 0.0)
    app = make_app(url)
    with app.app_context():
        server_clock.follow()
        assert caplog.records == []
        monkeypatch.setattr(clock, "_ahead", -600.0)
        for _ in range(3):
            server_clock.follow()
            assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    # The clock was taken for one of ten minutes ago, and then for what it is: neither is off the database's.
    assert caplog.records == []
    monkeypatch.setattr("webapp.core.clock.time.time", lambda: 1_000_000_000.0)
    with app.app_context():
        for _ in range(2):
            server_clock.follow()
    assert caplog.text.count("set both by NTP") == 1
    dispose(app)
