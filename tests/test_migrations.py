"""The migrations: from nothing to the models, and back, on both engines."""

import uuid
from collections.abc import Iterator

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask

from tests.conftest import dispose, make_app
from webapp.core.database.session import db
from webapp.core.jobs import error_groups
from webapp.core.models import Base, JobRun


@pytest.fixture
def bare(empty_url: str) -> Iterator[Flask]:
    """The app on a database without any table, its context pushed."""
    app = make_app(empty_url)
    with app.app_context():
        yield app
    dispose(app)


def tables() -> set[str]:
    db.session.remove()
    return set(sa.inspect(db.engine).get_table_names())


def test_from_nothing_to_head_the_models_and_the_database_agree(bare: Flask) -> None:
    assert tables() == set()
    flask_migrate.upgrade()
    assert tables() == {*Base.metadata.tables, "alembic_version"}
    flask_migrate.check()


def test_upgrading_again_changes_nothing(bare: Flask) -> None:
    flask_migrate.upgrade()
    before = tables()
    flask_migrate.upgrade()
    assert tables() == before


def test_down_to_base_nothing_is_left_and_up_again_works(bare: Flask) -> None:
    flask_migrate.upgrade()
    flask_migrate.downgrade(revision="base")
    assert tables() == {"alembic_version"}
    flask_migrate.upgrade()
    flask_migrate.check()


def test_a_difference_between_models_and_database_would_be_found(bare: Flask) -> None:
    flask_migrate.upgrade()
    with db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE users ADD COLUMN nickname VARCHAR(20)"))
    with pytest.raises(SystemExit):
        flask_migrate.check()


def test_jobs_that_failed_before_they_were_grouped_are_marked(bare: Flask) -> None:
    flask_migrate.upgrade(revision="0008")
    insert = sa.text(
        "INSERT INTO job_runs (id, type, status, error, progress, created_by, created_at, updated_at, tags, version)"
        " VALUES (:id, 't', :status, :error, 0, 'system', :at, :at, '[]', 1)"
    )
    told = [("failed", f"boom {number}") for number in range(1001)] + [("failed", None), ("completed", None)]
    rows = [
        {"id": uuid.UUID(int=number).hex, "status": status, "error": error, "at": "2026-11-24 12:00:00+00:00"}
        for number, (status, error) in enumerate(told)
    ]
    with db.engine.begin() as connection:
        connection.execute(insert, rows)
    flask_migrate.upgrade()
    with db.engine.connect() as connection:
        found = connection.execute(sa.text("SELECT error_group FROM job_runs ORDER BY id")).scalars().all()
    alike, none = error_groups.make_fingerprint("t", "boom 9"), error_groups.make_fingerprint("t", None)
    assert found == [alike] * 1001 + [none, None]


def test_no_index_knows_anything_that_progress_moves() -> None:
    moved = {"progress", "message", "result", "link", "runner", "updated_at", "last_seen_at", "version"}
    indexes = JobRun.metadata.tables[JobRun.__tablename__].indexes
    assert len(indexes) > 5
    assert [index.name for index in indexes if moved & set(index.columns.keys())] == []


@pytest.mark.parametrize("constraint", ["progress = 101", "status = 'done'", "failure_reason = 'bad luck'"])
def test_the_database_itself_refuses_what_no_job_may_be(core: Flask, constraint: str) -> None:
    insert = sa.text(
        "INSERT INTO job_runs (id, type, status, progress, created_by, created_at, updated_at, tags, version)"
        " VALUES ('0193a00000007000800000000000000a', 't', 'pending', 0, 'system', :at, :at, '[]', 1)"
    )
    with db.engine.begin() as connection:
        connection.execute(insert, {"at": "2026-11-24 12:00:00+00:00"})
    with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE job_runs SET {constraint}"))


def test_sqlite_holds_its_foreign_keys_after_migrating(bare: Flask) -> None:
    flask_migrate.upgrade()
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
