"""Boards that run in processes of their own."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.apps import SECRET_KEY
from tests.support.databases import PostgresServer, migrate
from tests.support.paths import ROOT
from webapp.cli.processes import answers, stop

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
def board(url: str, folder: Path, port: int | None = None, environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """A real process that serves a database, with its log in ``folder``; its address, once it answers there."""
    port = port or _free_port()
    log = folder / f"server-{port}.log"
    command = f"webapp.gateway --interface rsgi wsgi:app --host 127.0.0.1 --port {port} --http 1 --no-ws"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "PORT": str(port)} | dict(environ or {}),
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


class _KeepAliveHandler(WSGIRequestHandler):
    """Serves many requests over a connection, and logs none."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve an app over HTTP in threads of this process, where the test holds its clock; its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_KeepAliveHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(url: str, tmp_path: Path) -> Iterator[StartServer]:
    """``server(2)`` starts two real processes on the test's database; their addresses."""
    with ExitStack() as running:
        yield lambda processes=1: [running.enter_context(board(url, tmp_path)) for _ in range(processes)]


class Outage:
    """A board of this test's own that can be stopped and started again where it was."""

    def __init__(self, url: str, folder: Path, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._board = partial(board, url, folder, port)
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(self._board())

    def stop(self) -> None:
        self._running.close()


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
