"""A PostgreSQL that goes away in ways that leave its connections open, and settings of its own that must not matter."""

import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import dispose, make_app
from tests.support.jobs import job_in
from tests.support.lines import Line, line_to
from tests.support.people import Cast
from tests.support.runner import Runner
from webapp.core import clock, jobs
from webapp.core.database import connections, postgresql, server_clock
from webapp.core.database.errors import is_unavailable
from webapp.core.database.session import db


@pytest.fixture(params=["postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Nothing here concerns SQLite."""
    return str(request.param)


def with_parameters(url: str, **parameters: str) -> str:
    return sa.make_url(url).update_query_dict(parameters).render_as_string(hide_password=False)


def show(app: Flask, name: str) -> str:
    with app.app_context(), db.engine.connect() as connection:
        return str(connection.exec_driver_sql(f"SHOW {name}").scalar())


@contextmanager
def outside(url: str) -> Iterator[sa.Connection]:
    """A connection of somebody else's."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def job(app: Flask, cast: Cast) -> dict[str, str]:
    with app.app_context():
        return {"id": str(job_in("running", cast.acme).id)}


# --- settings ----------------------------------------------------------------------------------------------------


def test_options_of_the_address_are_kept_and_may_change_the_limits(url: str) -> None:
    app = make_app(with_parameters(url, options="-csearch_path=callboard -c statement_timeout=3s"))
    assert [show(app, name) for name in ("search_path", "statement_timeout", "lock_timeout")] == [
        "callboard",
        "3s",
        "5s",
    ]
    dispose(app)


def test_an_address_without_options_has_every_limit(url: str) -> None:
    app = make_app(url)
    assert [show(app, name) for name in ("statement_timeout", "lock_timeout")] == ["30s", "5s"]
    with app.app_context(), db.engine.connect() as connection:
        driver_connection = connection.connection.driver_connection
        assert driver_connection is not None
        parameters = driver_connection.info.get_parameters()
    limits = {"connect_timeout": "5", "tcp_user_timeout": "10000", "keepalives_idle": "10"}
    assert limits.items() <= parameters.items()
    dispose(app)


def test_a_limit_of_a_connection_may_be_set_in_the_address(url: str) -> None:
    app = make_app(with_parameters(url, connect_timeout="17"))
    with app.app_context(), db.engine.connect() as connection:
        driver_connection = connection.connection.driver_connection
        assert driver_connection is not None
        assert driver_connection.info.get_parameters()["connect_timeout"] == "17"
    dispose(app)


def test_the_limits_are_settings(url: str) -> None:
    app = make_app(url, DATABASE_CONNECT_TIMEOUT="3", DATABASE_STATEMENT_TIMEOUT="7")
    assert show(app, "statement_timeout") == "7s"
    with app.app_context(), db.engine.connect() as connection:
        driver_connection: Any = connection.connection.driver_connection
        assert driver_connection.info.get_parameters()["connect_timeout"] == "3"
    dispose(app)


@pytest.mark.parametrize(("prepare", "threshold"), [("auto", 5), ("on", 5), ("off", None)])
def test_statements_are_prepared_as_the_setting_says(url: str, prepare: str, threshold: int | None) -> None:
    app = make_app(url, DATABASE_PREPARE=prepare)
    with app.app_context(), db.engine.connect() as connection:
        driver_connection: Any = connection.connection.driver_connection
        assert driver_connection.prepare_threshold == threshold
    dispose(app)


@pytest.mark.parametrize(
    "setting",
    [
        "DateStyle = 'German, DMY'",
        "TimeZone = 'Asia/Tokyo'",
        "client_encoding = 'LATIN1'",
        "extra_float_digits = -15",
        "IntervalStyle = 'iso_8601'",
        "standard_conforming_strings = off",
    ],
)
def test_a_database_that_writes_times_or_text_another_way_is_read_all_the_same(
    app: Flask, url: str, cast: Cast, token: str, job: dict[str, str], setting: str
) -> None:
    name = sa.make_url(url).database
    dispose(app)
    with outside(url) as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET {setting}')
    runner = Runner(app.test_client(), token)
    text = r"καλημέρα \n 'x'"
    assert runner.report(job, message=text).status_code == 200
    with app.app_context():
        stored = jobs.get_job_status(uuid.UUID(job["id"]), within=cast.acme.id)
    assert stored.message == text
    assert abs(stored.updated_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_clock_is_read_right_where_a_pooler_takes_no_options(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_SESSION_MUSTS", "-c extra_float_digits=-15")
    monkeypatch.setattr(clock, "_ahead", 0.0)
    app = make_app(url)
    with app.app_context():
        server_clock.follow()
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=5)
    dispose(app)


@pytest.mark.parametrize(("statement", "answer"), [("30s", 35), ("2min", 125), ("300ms", 5.3), ("0", None)])
def test_an_answer_is_awaited_a_little_longer_than_a_statement_may_take(
    url: str, statement: str, answer: float | None
) -> None:
    app = make_app(with_parameters(url, options=f"-c statement_timeout={statement}"))
    with app.app_context(), db.engine.connect() as connection:
        driver_connection: Any = connection.connection.driver_connection
        assert driver_connection.answer_timeout == answer
    dispose(app)


# --- a server that takes no writes any more ----------------------------------------------------------------------


def test_a_server_that_became_read_only_costs_each_connection_one_answer(
    app: Flask, token: str, job: dict[str, str]
) -> None:
    runner = Runner(app.test_client(), token)
    assert runner.report(job, progress=1).status_code == 200
    with app.app_context(), db.engine.connect() as one, db.engine.connect() as other:
        for connection in (one, other):
            connection.exec_driver_sql("SET default_transaction_read_only = on")
    answer = runner.report(job, progress=2)
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    assert runner.report(job, progress=3).status_code == 200


def test_while_a_database_takes_no_writes_the_board_is_not_ready(
    app: Flask, url: str, token: str, job: dict[str, str]
) -> None:
    runner, client = Runner(app.test_client(), token), app.test_client()
    name = sa.make_url(url).database
    assert client.get("/readyz").status_code == 200
    with outside(url) as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    # Connections that were there before may write until they are cut, as those to a server that hands its role over.
    with app.app_context():
        db.engine.dispose()
    for _ in range(3):
        assert runner.report(job, progress=4).status_code == 503
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    with outside(url) as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = off")
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    assert client.get("/readyz").status_code == 200
    assert runner.report(job, progress=5).status_code == 200


def test_connections_that_became_read_only_are_found_by_the_question_for_readiness(app: Flask) -> None:
    client = app.test_client()
    with app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the database takes no writes\n")
    assert client.get("/readyz").status_code == 200


# --- a server that falls silent ----------------------------------------------------------------------------------


def test_a_frozen_connection_is_given_up_in_time_and_the_next_one_works(
    url: str, token: str, job: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER_MARGIN", 0.5)
    app = make_app(with_parameters(url, options="-c statement_timeout=1s"))
    runner = Runner(app.test_client(), token)
    assert runner.report(job, progress=1).status_code == 200
    with app.app_context(), db.engine.connect() as connection:
        pid = int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() or 0)
    os.kill(pid, signal.SIGSTOP)
    try:
        answers = [runner.report(job, progress=2).status_code for _ in range(2)]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert answers == [503, 200]
    dispose(app)


@pytest.fixture
def line(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line to the database that can fall silent, which the board notices sooner than it does for people."""
    monkeypatch.setattr(connections, "CHECK_EVERY", 0.2)
    monkeypatch.setattr(connections, "_CHECK_TIMEOUT", "2")
    socket_folder = sa.make_url(url).query.get("host")
    if not isinstance(socket_folder, str):
        pytest.skip("This PostgreSQL has no socket in a folder.")
    with line_to(f"{socket_folder}/.s.PGSQL.5432") as line:
        yield line


@pytest.fixture
def distant(line: Line, url: str) -> Iterator[Flask]:
    """The app at the other end of the line."""
    address = sa.make_url(url)
    app = make_app(f"postgresql://{address.username}@127.0.0.1:{line.port}/{address.database}?connect_timeout=2")
    yield app
    dispose(app)


def seconds_of(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def test_connections_that_fell_silent_are_left_within_seconds(
    distant: Flask, line: Line, token: str, job: dict[str, str]
) -> None:
    runner = Runner(distant.test_client(), token)
    assert runner.report(job, progress=1).status_code == 200
    line.silence_present()
    answers: list[int] = []
    assert seconds_of(lambda: answers.append(runner.report(job, progress=2).status_code)) < 5
    assert [*answers, runner.report(job, progress=3).status_code] == [503, 200]


def test_of_many_requests_one_alone_waits_for_a_silent_server(
    distant: Flask, line: Line, token: str, job: dict[str, str]
) -> None:
    runner = Runner(distant.test_client(), token)
    assert runner.report(job, progress=1).status_code == 200
    line.silence_all()
    assert runner.report(job, progress=2).status_code == 503
    with ThreadPoolExecutor(5) as threads:
        started = time.monotonic()
        waiting = [
            threads.submit(lambda: (Runner(distant.test_client(), token).report(job).status_code, time.monotonic()))
            for _ in range(5)
        ]
        answers = sorted((future.result() for future in waiting), key=lambda answer: answer[1])
        assert [status for status, _ in answers] == [503] * 5
        assert [answered - started < 1 for _, answered in answers] == [True] * 4 + [False]
    line.speak()
    assert runner.report(job, progress=3).status_code == 200


def test_a_statement_that_is_at_work_is_waited_for(distant: Flask, line: Line) -> None:
    with distant.app_context(), db.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 5 FROM pg_sleep(1)").scalar() == 5
        assert connection.exec_driver_sql("SELECT repeat('x', 3000000) FROM pg_sleep(0.5)").scalar() == "x" * 3000000


def test_a_server_that_accepts_and_never_answers_is_told_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        app = make_app(f"postgresql://nobody@127.0.0.1:{port}/nothing?connect_timeout=2")
        started = time.monotonic()
        assert app.test_client().get("/readyz").status_code == 503
        assert time.monotonic() - started < 10
        dispose(app)


def test_a_statement_that_takes_too_long_is_ended_and_may_be_tried_again(url: str) -> None:
    app = make_app(with_parameters(url, options="-c statement_timeout=200ms"))
    with app.app_context(), pytest.raises(sa.exc.OperationalError) as caught, db.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(20)")
    assert is_unavailable(caught.value)
    dispose(app)


def test_a_migration_may_take_as_long_as_it_needs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_MARGIN", 0)
    app = make_app(with_parameters(url, options="-c statement_timeout=200ms"))
    with app.app_context(), db.engine.connect() as connection:
        transaction = connection.execution_options(isolation_level="READ COMMITTED")
        postgresql.lift_time_limits(transaction)
        transaction.exec_driver_sql("SELECT pg_sleep(0.6)")
        connection.invalidate()
    dispose(app)
