"""What machines ask of the board itself: whether it is ready; and what it writes down, in lines that they can read."""

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import flask_migrate
import httpx
import pytest
import sqlalchemy as sa
from click import ClickException
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from tests.support.apps import dispose, make_app
from tests.support.paths import ROOT
from tests.support.processes import children, command_line, on_linux, serve, wait_until_it_serves
from tests.support.waiting import wait_until
from webapp.cli import maintain
from webapp.cli.serve import require_migrated
from webapp.core.chores.schedule import Chore
from webapp.core.database import migrations
from webapp.core.models import schema_compatibility
from webapp.logging import JsonFormatter, log_context


def test_a_board_with_its_tables_is_ready(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ready\n")


def test_a_board_that_is_not_migrated_is_alive_and_not_ready(empty_url: str) -> None:
    app = make_app(empty_url)
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "not up to date" in answer.text
    assert app.test_client().get("/healthz").status_code == 200
    with app.app_context():
        flask_migrate.upgrade()
    assert app.test_client().get("/readyz").status_code == 200
    dispose(app)


def test_a_board_whose_database_is_away_is_not_ready(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> bool:
        raise OperationalError("SELECT secret", {}, Exception("no route to secret-host"))

    monkeypatch.setattr(migrations, "get_schema_state", away)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "secret" not in answer.text


@contextmanager
def migrated_by_a_later_version(url: str, *, oldest_served: str) -> Iterator[None]:
    """The database as a later version leaves it, and as it was again."""
    engine = sa.create_engine(sa.make_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        head = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9000'")
        connection.execute(sa.delete(schema_compatibility))
        connection.execute(sa.insert(schema_compatibility).values(id=1, oldest_served=oldest_served))
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{head}'")


def test_old_servers_beside_a_newer_schema_are_ready_as_long_as_it_serves_them(client: FlaskClient, url: str) -> None:
    with migrated_by_a_later_version(url, oldest_served="0014"):
        assert client.get("/readyz").text == "ready\n"
    with migrated_by_a_later_version(url, oldest_served="8999"):
        answer = client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "the database is too new for this version\n")
    assert client.get("/readyz").status_code == 200


def test_an_old_server_starts_beside_a_newer_schema_only_if_that_serves_it(core: Flask, url: str) -> None:
    require_migrated()
    with migrated_by_a_later_version(url, oldest_served="0014"):
        require_migrated()
    with migrated_by_a_later_version(url, oldest_served="8999"), pytest.raises(ClickException, match="update it"):
        require_migrated()


# --- the log -----------------------------------------------------------------------------------------------------


def line(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def record(message: str, **more: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "webapp", "levelno": 40, "levelname": "ERROR", "msg": message, "created": 1.5} | more
    )


def test_a_line_is_one_json_object() -> None:
    assert line(record("two\nlines")) == {
        "at": "1970-01-01T00:00:01.500Z",
        "level": "error",
        "logger": "webapp",
        "message": "two\nlines",
    }


def test_a_line_within_a_request_carries_its_id_and_nothing_else_of_it(app: Flask) -> None:
    with app.test_request_context("/login?next=secret", headers={"X-Request-Id": "abc", "Authorization": "Bearer s"}):
        written = line(record("It failed."))
    assert written["request_id"] == "abc"
    assert "secret" not in str(written)
    assert "Bearer" not in str(written)


def test_an_error_brings_its_trace() -> None:
    try:
        raise ValueError("wrong")
    except ValueError as error:
        written = line(record("It failed.", exc_info=(type(error), error, error.__traceback__)))
    assert "ValueError: wrong" in written["trace"]


def test_a_line_carries_what_it_is_about_only_within_its_block() -> None:
    with log_context(chore="liveness", run="1"):
        assert line(record("Inside."))["chore"] == "liveness"
        assert line(record("Inside."))["run"] == "1"
    assert "chore" not in line(record("Outside."))


def test_the_lines_of_one_run_of_a_chore_have_its_name_and_a_number_of_its_own(app: Flask) -> None:
    stop, lines = threading.Event(), []
    chatty = logging.getLogger("chatty")

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(line(record))

    def chat(_: Callable[[], bool]) -> str:
        chatty.error("one")
        chatty.error("two")
        if len(lines) >= 4:
            stop.set()
        return "done"

    handler = Keep()
    chatty.addHandler(handler)
    try:
        maintain.run_chores([Chore("chatting", timedelta(0), chat)], app, stop)
    finally:
        chatty.removeHandler(handler)
    assert {entry["chore"] for entry in lines} == {"chatting"}
    first, second, third, fourth = (entry["run"] for entry in lines)
    assert first == second != third == fourth


TROUBLE = """
import logging, threading, warnings
from webapp.logging import log_as_json
log_as_json()
logging.getLogger("webapp.x").info("quiet")
logging.getLogger("webapp.x").warning("loud")
warnings.warn("old", stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0, name="weak")
thread.start()
thread.join()
raise ValueError("the end")
"""


def test_all_that_a_process_writes_from_a_warning_on_is_json_even_if_uncaught() -> None:
    ended = subprocess.run([sys.executable, "-c", TROUBLE], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    loud, old, thread, end = (json.loads(text) for text in ended.stderr.splitlines())
    assert (loud["level"], loud["message"]) == ("warning", "loud")
    assert "UserWarning: old" in old["message"]
    assert thread["message"] == "The thread weak ended by an error."
    assert "ZeroDivisionError" in thread["trace"]
    assert "ValueError: the end" in end["trace"]


@on_linux
def test_every_line_of_serve_is_json_whoever_writes_it(sqlite_template: Path, port: int, tmp_path: Path) -> None:
    database, log = shutil.copy(sqlite_template, tmp_path / "callboard.db"), tmp_path / "serve.log"

    def lines() -> list[dict[str, Any]]:
        # What stands after the last end of a line is still being written.
        return [json.loads(text) for text in log.read_text().rpartition("\n")[0].splitlines()]

    def entries_by(logger: str) -> list[dict[str, Any]]:
        return [entry for entry in lines() if entry["logger"] == logger]

    with serve(f"sqlite:///{database}", port, tmp_path, GRANIAN_LOG_ACCESS_ENABLED="1") as process:
        try:
            wait_until_it_serves(process, log)
            server, chores = sorted(children(process.pid), key=lambda child: "maintain" in command_line(child))
            with closing(sqlite3.connect(database)) as connection:
                for table in ("api_tokens", "listening", "leases"):
                    connection.execute(f"DROP TABLE {table}")
            refused = httpx.post(f"http://127.0.0.1:{port}/api/v1/jobs", headers={"Authorization": "Bearer cb_x_y"})
            broken = ("webapp.errors", "webapp.heartbeat", "webapp.cli.maintain", "granian.access")
            wait_until(lambda: all(entries_by(logger) for logger in broken), explain=log.read_text)
            [worker] = children(server)
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: entries_by("_granian"), explain=log.read_text)
            os.kill(chores, signal.SIGKILL)
            wait_until(lambda: entries_by("webapp.cli.processes"), explain=log.read_text)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert log.read_text().endswith("}\n")
    assert refused.status_code == 503
    assert [entry["request_id"] for entry in entries_by("webapp.errors")] == [refused.headers["X-Request-Id"]]
    [served] = entries_by("webapp.cli.serve")
    assert (served["level"], served["message"]) == ("info", f"Callboard serves on http://127.0.0.1:{port}.")
    [ended] = entries_by("webapp.cli.processes")
    assert ended["message"] == "The chores ended unexpectedly (exit code -9); starting again."
    assert all(entry["chore"] and entry["run"] for entry in entries_by("webapp.cli.maintain"))
    [died] = entries_by("_granian")
    assert (died["level"], died["message"]) == ("error", "Unexpected exit from worker-1")
