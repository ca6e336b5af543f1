"""What machines ask of the board itself: whether it is ready; and what it writes down, in lines that they can read."""

import json
import logging
from typing import Any

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from tests.conftest import dispose, make_app
from webapp.core import schema
from webapp.json_log import JsonFormatter, write_json


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

    monkeypatch.setattr(schema, "is_current", away)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "secret" not in answer.text


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
        told = line(record("It failed."))
    assert told["request_id"] == "abc"
    assert "secret" not in str(told)
    assert "Bearer" not in str(told)


def test_an_error_brings_its_trace() -> None:
    try:
        raise ValueError("wrong")
    except ValueError as error:
        told = line(record("It failed.", exc_info=(type(error), error, error.__traceback__)))
    assert "ValueError: wrong" in told["trace"]


def test_what_a_process_logs_is_written_as_json_from_a_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers.clear()
    try:
        write_json()
        logging.getLogger("webapp.x").info("quiet")
        logging.getLogger("webapp.x").warning("loud")
        logging.getLogger().handlers.clear()
    finally:
        root.handlers[:], root.level = before
    (told,) = capsys.readouterr().err.splitlines()
    assert json.loads(told)["message"] == "loud"
