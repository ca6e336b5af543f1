"""Statements of the hot path skip SQLAlchemy's machinery, and behave as if they did not."""

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tests.support.apps import dispose, make_app
from tests.support.jobs import RUNNER, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.database.errors import is_unavailable, lacks_migration
from webapp.core.database.session import db
from webapp.core.database.statements import CompiledStatement
from webapp.core.database.transactions import write_lock, write_transaction
from webapp.core.jobs.inputs import Report
from webapp.core.models import Base, JobRun, JobSnapshot
from webapp.core.workspaces import tokens

JOBS = Base.metadata.tables[JobRun.__tablename__]
COLUMNS = [JOBS.c[name] for name in JobSnapshot._fields if name != "payload"]
BY_ID = CompiledStatement(sa.select(*COLUMNS).where(JOBS.c.id == sa.bindparam("key")), COLUMNS)


def test_a_row_has_the_columns_of_the_record() -> None:
    columns = [column.name for column in JOBS.c]
    assert sorted(JobSnapshot._fields) == sorted(columns)
    assert list(JobSnapshot._fields[:-1]) == [name for name in columns if name != "payload"]


def test_values_are_those_that_sqlalchemy_reads(core: Flask, cast: Cast) -> None:
    for state in ("pending", "running", "completed", "failed", "canceled", "lost"):
        job = job_in(state, cast.acme)
        row = BY_ID.fetch_first({"key": job.id})
        assert row is not None
        assert [(type(value), value) for value in row] == [
            (type(value), value) for value in db.session.execute(sa.select(*COLUMNS).where(JOBS.c.id == job.id)).one()
        ]
    assert BY_ID.fetch_first({"key": uuid.uuid4()}) is None


def test_what_is_written_is_what_sqlalchemy_writes(core: Flask, cast: Cast) -> None:
    job = job_in("running", cast.acme)
    values = {"message": "50 % “done”", "link": None, "result": {"ä": [1, None, "%s ?"]}, "progress": 50}
    update = sa.update(JOBS).where(JOBS.c.id == sa.bindparam("key"))
    update = update.values({name: sa.bindparam(name, type_=JOBS.c[name].type) for name in values})
    with write_lock():
        row = CompiledStatement(update.returning(*COLUMNS), COLUMNS).fetch_first({"key": job.id, **values})
    assert row is not None
    assert {name: getattr(JobSnapshot(*row), name) for name in values} == values
    stored = db.session.execute(sa.select(*(JOBS.c[name] for name in values)).where(JOBS.c.id == job.id)).one()
    assert dict(stored._mapping) == values


def test_a_statement_is_a_transaction_by_itself_also_after_one_of_several(core: Flask, cast: Cast) -> None:
    job = job_in("running", cast.acme)
    with suppress(ZeroDivisionError), write_transaction() as session:
        session.execute(sa.update(JOBS).where(JOBS.c.id == job.id).values(progress=99))
        _ = 1 / 0
    jobs.apply_report(job.id, Report.parse({"message": "on"}), within=cast.acme.id, by=RUNNER)
    elsewhere = sa.create_engine(db.engine.url, poolclass=sa.NullPool)
    with elsewhere.connect() as connection:
        stored = connection.execute(sa.select(JOBS.c.progress, JOBS.c.message).where(JOBS.c.id == job.id)).one()
    assert tuple(stored) == (0, "on")


def test_errors_are_those_of_sqlalchemy(core: Flask, cast: Cast) -> None:
    job = job_in("running", cast.acme)
    forbidden = sa.update(JOBS).where(JOBS.c.id == job.id).values(progress=sa.bindparam("progress"))
    with pytest.raises(IntegrityError):
        CompiledStatement(forbidden.returning(JOBS.c.id), [JOBS.c.id]).fetch_first({"progress": 101})
    missing = sa.table("nowhere", sa.column("id", sa.Integer))
    with pytest.raises(DBAPIError) as caught:
        CompiledStatement(sa.select(missing.c.id), [missing.c.id]).fetch_first({})  # type: ignore[list-item]
    assert lacks_migration(caught.value)
    assert BY_ID.fetch_first({"key": job.id})


def test_a_connection_that_was_cut_costs_one_answer_and_no_more(postgres_url: str) -> None:
    app = make_app(postgres_url)
    with app.app_context():
        with db.engine.connect() as one, db.engine.connect() as other:
            for connection in (one, other):
                connection.exec_driver_sql("SELECT 1")
        outside = sa.create_engine(db.engine.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with outside.connect() as connection:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        with pytest.raises(OperationalError) as caught:
            BY_ID.fetch_first({"key": uuid.uuid4()})
        assert is_unavailable(caught.value)
        assert BY_ID.fetch_first({"key": uuid.uuid4()}) is None
    dispose(app)


def test_a_database_that_cannot_be_reached_is_told_as_such(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/nowhere/callboard.db", "postgresql+psycopg://nobody@127.0.0.1:1/nothing"):
        app = make_app(url)
        with app.app_context(), pytest.raises(OperationalError) as caught:
            BY_ID.fetch_first({"key": uuid.uuid4()})
        assert is_unavailable(caught.value)
        dispose(app)


def test_a_token_reads_back_as_it_was_made(core: Flask, cast: Cast) -> None:
    until = datetime(2999, 1, 1, tzinfo=UTC)
    token, text = tokens.create_unchecked(cast.acme.id, "t", expires_at=until, by=SYSTEM)
    bearer = tokens.authenticate(text)
    assert bearer is not None
    assert (bearer.id, bearer.workspace_id, bearer.scopes) == (token.id, cast.acme.id, frozenset(token.scopes))
