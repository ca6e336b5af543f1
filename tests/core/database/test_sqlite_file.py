"""The file of a SQLite database: what is in it when the board has stopped, and whether it takes writes."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import dispose, make_app
from tests.support.jobs import job_in
from tests.support.people import Cast
from webapp.core.database import sqlite_file
from webapp.core.database.session import db


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Nothing here concerns PostgreSQL."""
    return str(request.param)


@pytest.fixture
def path(url: str) -> Path:
    return Path(sa.make_url(url).database or "")


def test_whoever_copies_the_file_of_a_stopped_board_has_all_of_it(app: Flask, cast: Cast, path: Path) -> None:
    with app.app_context():
        job = job_in("running", cast.acme)
        db.session.remove()
        assert path.with_name(f"{path.name}-wal").stat().st_size > 0
        sqlite_file.checkpoint()
    assert not path.with_name(f"{path.name}-wal").exists()
    copy = Path(shutil.copy(path, path.with_name("copy.db")))
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT id FROM job_runs").fetchall() == [(job.id.hex,)]
    copy.unlink()


def test_a_checkpoint_while_others_are_at_work_leaves_them_alone(app: Flask, cast: Cast, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other, app.app_context():
        db.session.remove()
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM users").fetchone()
        job = job_in("running", cast.acme)
        with pytest.MonkeyPatch.context() as impatient:
            impatient.setattr("webapp.core.database.engine.LOCK_TIMEOUT", 0)
            sqlite_file.checkpoint()
        other.execute("COMMIT")
        assert other.execute("SELECT id FROM job_runs").fetchall() == [(job.id.hex,)]


def test_a_file_that_takes_no_writes_is_not_ready_and_reports_are_for_later(app: Flask, path: Path) -> None:
    dispose(app)
    read_only = make_app(f"sqlite:///file:{path}?mode=ro&uri=true")
    answer = read_only.test_client().get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the database takes no writes\n")
    dispose(read_only)


def test_a_file_that_somebody_writes_to_is_ready_at_once(app: Flask, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert app.test_client().get("/readyz").status_code == 200
        other.execute("ROLLBACK")
    with app.app_context(), db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000


@pytest.mark.parametrize(("setting", "level"), [("", 1), ("normal", 1), ("full", 2)])
def test_the_disk_confirms_as_the_setting_says(url: str, setting: str, level: int) -> None:
    app = make_app(url, SQLITE_SYNCHRONOUS=setting)
    with app.app_context(), db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
    dispose(app)
