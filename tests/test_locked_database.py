"""What goes on while somebody else holds SQLite's write lock for too long."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.conftest import Cast, Clock, dispose, make_app, sign_in
from tests.runner import Runner
from webapp.core import database


@pytest.fixture
def engine_name() -> str:
    """PostgreSQL locks rows and not the whole database."""
    return "sqlite"


@pytest.fixture
def app(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    app = make_app(url)
    yield app
    dispose(app)


@pytest.fixture
def lock(url: str) -> Iterator[sa.Connection]:
    """Somebody else, who holds the write lock from ``BEGIN IMMEDIATE`` on."""
    with sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as other:
        yield other


def test_a_runner_may_read_though_its_use_of_the_token_cannot_be_noted(
    app: Flask, token: str, lock: sa.Connection
) -> None:
    lock.exec_driver_sql("BEGIN IMMEDIATE")
    runner = Runner(app.test_client(), token)
    assert runner.get("/jobs").status_code == 200
    assert runner.post("/jobs", {"type": "t"}).status_code == 503
    lock.exec_driver_sql("ROLLBACK")
    assert runner.post("/jobs", {"type": "t"}).status_code == 201


def test_a_person_may_look_though_the_visit_cannot_be_noted(
    app: Flask, cast: Cast, clock: Clock, lock: sa.Connection
) -> None:
    browser = app.test_client()
    sign_in(browser, "ben@example.com")
    clock.advance(minutes=5)
    lock.exec_driver_sql("BEGIN IMMEDIATE")
    assert browser.get("/w/acme/jobs").status_code == 200
