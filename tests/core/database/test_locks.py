"""A database that somebody else has locked: a prompt 503, and pages that need no database go on answering."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import OperationalError, TimeoutError

from tests.support.apps import dispose, make_app
from tests.support.clock import Clock
from tests.support.jobs import job_in
from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from tests.support.runner import Runner
from webapp.core.chores import liveness
from webapp.core.database import engine, transactions
from webapp.core.database.session import db


@pytest.fixture
def app(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The app with a shorter patience than people have."""
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 1)
    app = make_app(url)
    yield app
    dispose(app)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """The jobs, held by another connection."""
    engine = sa.create_engine(sa.make_url(url), poolclass=sa.NullPool)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.connection.isolation_level = None  # type: ignore[attr-defined]
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("LOCK TABLE job_runs, login_failures IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def test_a_report_that_meets_a_lock_is_told_to_come_again_soon(app: Flask, url: str, cast: Cast, token: str) -> None:
    with app.app_context():
        job = {"id": str(job_in("running", cast.acme).id)}
    runner = Runner(app.test_client(), token)
    with locked(url):
        answer = runner.report(job, progress=5)
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= 10
    assert runner.report(job, progress=6).status_code == 200


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_threads_that_wait_for_their_own_process_give_up_too(app: Flask) -> None:
    with app.app_context(), transactions._sqlite_writer, pytest.raises(TimeoutError), transactions.write_transaction():
        pass
    with app.app_context(), transactions.write_transaction():
        pass


def test_a_sign_in_that_meets_a_lock_is_a_page_that_says_so(app: Flask, url: str, cast: Cast) -> None:
    client = app.test_client()
    wrong = {"email": "ada@example.com", "password": "wrong", "csrf_token": csrf_token(client.get("/login").text)}
    with locked(url):
        answer = client.post("/login", data=wrong)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "cannot reach its database" in answer.text
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_a_runner_may_read_though_its_use_of_the_token_cannot_be_noted(app: Flask, url: str, token: str) -> None:
    runner = Runner(app.test_client(), token)
    with locked(url):
        assert runner.get("/jobs").status_code == 200


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_a_person_may_look_though_the_visit_cannot_be_noted(app: Flask, url: str, cast: Cast, clock: Clock) -> None:
    browser = app.test_client()
    sign_in(browser, "ben@example.com")
    clock.advance(minutes=5)
    with locked(url):
        assert browser.get("/w/acme/jobs").status_code == 200


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_what_cannot_be_noted_behind_a_read_keeps_nobody_waiting(
    url: str, cast: Cast, token: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 60)
    app = make_app(url)
    runner, browser = Runner(app.test_client(), token), app.test_client()
    sign_in(browser, "ben@example.com")
    clock.advance(minutes=5)
    started = time.monotonic()
    for lock in (locked(url), transactions._sqlite_writer):
        with lock:
            assert runner.get("/jobs").status_code == 200
            assert browser.get("/w/acme/jobs").status_code == 200
    assert time.monotonic() - started < 10
    # It is noted once that is possible.
    assert runner.get("/jobs").status_code == 200
    with app.app_context():
        assert db.session.scalar(sa.text("SELECT last_used_at FROM api_tokens")) is not None
    dispose(app)


def test_a_board_that_cannot_take_a_report_does_not_say_that_it_listens(app: Flask, url: str, cast: Cast) -> None:
    with app.app_context():
        liveness.record_server_heartbeat()
        with locked(url), pytest.raises((OperationalError, TimeoutError)):
            liveness.record_server_heartbeat()
        liveness.record_server_heartbeat()


@pytest.mark.parametrize("engine_name", ["postgresql"])
@pytest.mark.parametrize(
    ("table", "mode"),
    [
        # As CREATE INDEX does, and then as ALTER TABLE does.
        ("job_runs", "SHARE"),
        ("job_events", "SHARE"),
        ("log_tails", "ACCESS EXCLUSIVE"),
        ("api_tokens", "ACCESS EXCLUSIVE"),
    ],
)
def test_whatever_a_report_needs_that_is_locked_stops_the_heartbeat(url: str, table: str, mode: str) -> None:
    impatient = sa.make_url(url).update_query_dict({"options": "-c lock_timeout=100ms"})
    app = make_app(impatient.render_as_string(hide_password=False))
    engine = sa.create_engine(sa.make_url(url), poolclass=sa.NullPool)
    with app.app_context():
        liveness.record_server_heartbeat()
        with engine.connect() as connection:
            connection.exec_driver_sql(f"LOCK TABLE {table} IN {mode} MODE")
            with pytest.raises(OperationalError):
                liveness.record_server_heartbeat()
    dispose(app)
