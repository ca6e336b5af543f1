"""Whatever goes wrong, a runner gets a problem document and a person a page, of the same status."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, default_exceptions

from tests.support.apps import dispose, make_app
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.api.problems import problem_response
from webapp.core.database.session import db
from webapp.core.errors import TooManyRequests
from webapp.core.jobs import listing
from webapp.core.models import Workspace
from webapp.logging import JsonFormatter

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/w/acme/jobs"}
DATABASE_TROUBLE = [
    OperationalError("SELECT s3cret", {"secret": "s3cret"}, Exception("no route to host\nand more")),
    InterfaceError("SELECT s3cret", {"secret": "s3cret"}, Exception("the connection is closed")),
    PoolTimeout("QueuePool limit of size 8 overflow 2 reached"),
]


class Both:
    """A runner and a signed-in person, who meet the same trouble."""

    def __init__(self, app: Flask, token: str) -> None:
        self.browser = app.test_client()
        sign_in(self.browser, "ben@example.com")
        self.runner = app.test_client()
        self.key = {"Authorization": f"Bearer {token}"}

    def ask(self) -> tuple[Any, Any]:
        return self.runner.get("/api/v1/jobs", headers=self.key), self.browser.get("/w/acme/jobs")


@pytest.fixture
def both(app: Flask, cast: Cast, token: str) -> Both:
    return Both(app, token)


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    for name in ("list_jobs", "list_records"):
        monkeypatch.setattr(listing, name, fail)


@pytest.mark.parametrize("error", DATABASE_TROUBLE, ids=lambda error: type(error).__name__)
def test_trouble_with_the_database_is_503_to_both_and_one_line_in_the_log(
    error: Exception, both: Both, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_with(error, monkeypatch)
    refusal, page = both.ask()
    assert (refusal.status_code, page.status_code) == (503, 503)
    assert (refusal.mimetype, page.mimetype) == ("application/problem+json", "text/html")
    assert (refusal.json["code"], refusal.json["title"]) == ("unavailable", "Service Unavailable")
    for answer in (refusal, page):
        assert 1 <= int(answer.headers["Retry-After"]) <= 5
        (line,) = [record for record in caplog.records if answer.headers["X-Request-Id"] in record.getMessage()]
        assert line.exc_info is None
    assert "s3cret" not in caplog.text
    assert both.browser.get("/w/acme/jobs/table", headers=HTMX).status_code == 503


def test_too_many_requests_are_429_to_both_with_the_time_to_wait(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(TooManyRequests("That was too much. Try again in a moment.", 7), monkeypatch)
    refusal, page = both.ask()
    for answer in (refusal, page):
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
        assert "That was too much. Try again in a moment." in answer.text
    assert refusal.json["code"] == "too_many_requests"


def test_an_unforeseen_error_is_500_to_both_and_told_in_the_log_alone(
    both: Both, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_with(RuntimeError("s3cret"), monkeypatch)
    refusal, page = both.ask()
    assert (refusal.status_code, page.status_code) == (500, 500)
    assert (refusal.json["code"], refusal.json["title"]) == ("internal_error", "Internal Server Error")
    for answer in (refusal, page):
        assert "s3cret" not in answer.text
        assert "Traceback" not in answer.text
        (line,) = [record for record in caplog.records if answer.headers["X-Request-Id"] in record.getMessage()]
        assert line.exc_info is not None
    assert "RuntimeError: s3cret" in caplog.text


def test_an_unforeseen_error_of_the_database_is_logged_without_what_was_sent(
    both: Both, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slug = "s3cret"

    def fail(*_: object, **__: object) -> None:
        db.session.execute(sa.insert(Workspace).values(id=uuid.uuid4(), slug=slug, name=None))

    monkeypatch.setattr(listing, "list_jobs", fail)
    assert both.browser.get("/w/acme/jobs").status_code == 500
    (record,) = caplog.records
    line = JsonFormatter().format(record)
    assert "INSERT INTO workspaces" in line
    assert "test_errors.py" in line
    assert "s3cret" not in line


@pytest.fixture
def nowhere(engine_name: str, tmp_path: Path) -> Iterator[Flask]:
    """The app, whose database is away."""
    away = {"sqlite": f"sqlite:///{tmp_path}/gone/callboard.db", "postgresql": "postgresql://127.0.0.1:1/gone"}
    app = make_app(away[engine_name])
    yield app
    dispose(app)


def assert_unavailable(app: Flask) -> None:
    runner, browser = app.test_client(), app.test_client()
    with browser.session_transaction() as session:
        session["secret"] = "as if signed in"
    refusal = runner.get("/api/v1/jobs", headers={"Authorization": "Bearer cb_0123456789ab_secret"})
    page = browser.get("/w/acme/jobs")
    for answer in (refusal, page):
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
    assert refusal.mimetype == "application/problem+json"
    assert "cannot reach its database" in page.text
    assert browser.get("/healthz").status_code == 200
    assert browser.get("/nothing").status_code == 404


def test_while_the_database_is_away_both_are_told_to_come_back(nowhere: Flask) -> None:
    assert_unavailable(nowhere)


def test_a_missing_migration_is_503_and_the_log_says_what_to_do(
    empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(empty_url)
    assert_unavailable(app)
    assert caplog.text.count("run `flask --app wsgi db upgrade`") == 2
    dispose(app)


CODES = {
    400: "bad_request",
    401: "unauthorized",
    405: "method_not_allowed",
    413: "request_entity_too_large",
    415: "unsupported_media_type",
    422: "unprocessable_entity",
    429: "too_many_requests",
}


@pytest.mark.parametrize("status", CODES)
def test_the_code_and_the_title_of_a_problem_are_the_same_on_every_python(app: Flask, status: int) -> None:
    error: HTTPException = default_exceptions[status]()
    with app.test_request_context():
        document: Any = problem_response(error, status).json
    assert document["code"] == CODES[status]
    assert document["title"].lower().replace(" ", "_") == CODES[status]


def test_a_405_page_and_a_405_problem_say_the_same(both: Both, client: FlaskClient) -> None:
    assert both.browser.put("/login").status_code == 405
    assert both.runner.put("/api/v1/jobs", headers=both.key).status_code == 405
