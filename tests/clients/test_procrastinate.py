"""Procrastinate's own worker on a real PostgreSQL: its tasks are jobs, from being deferred to their ends."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from procrastinate import App, PsycopgConnector

from tests.clients.conftest import Operator, awaited, until
from tests.clients.workers import from_here, worker
from tests.support.databases import PostgresServer
from tests.support.paths import ROOT

TASKS = "tests.clients.procrastinate_tasks"


@pytest.fixture
def queue(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of Procrastinate's, with its tables and nothing in them."""
    url = postgres_server.create()
    address = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def make_tables() -> None:
        async with App(connector=PsycopgConnector(conninfo=address)).open_async() as app:
            await app.schema_manager.apply_schema_async()

    awaited(make_tables())
    monkeypatch.setenv("QUEUE_URL", address)
    yield address
    postgres_server.drop(url)


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(queue: str, environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """``start()`` begins a worker; it is ended with the test."""
    with ExitStack() as ends:

        def begin(app: str = f"{TASKS}.app") -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "procrastinate", "--app", app, "worker", "--concurrency", "2"]
            command += ["--fetch-job-polling-interval", "0.2", "--abort-job-polling-interval", "0.2"]
            command += ["--shutdown-graceful-timeout", "0.1"]
            return ends.enter_context(worker(tmp_path, *command, PYTHONPATH=from_here()))

        yield begin


def defer(task: str, **kwargs: str) -> None:
    """Defer a task from a program of its own, as a web server would."""
    told = ", ".join(f"{name}={value!r}" for name, value in kwargs.items())
    source = f"from {TASKS} import app, {task}\nwith app.open(): {task}.defer({told})"
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def statuses(queue: str) -> list[str]:
    """What Procrastinate itself says of its jobs."""
    with psycopg.connect(queue) as connection:
        return [str(row[0]) for row in connection.execute("SELECT status FROM procrastinate_jobs ORDER BY id")]


def status(operator: Operator) -> list[str]:
    return [job["status"] for job in operator.jobs]


def test_a_task_is_one_job_from_being_deferred_to_its_end(start: Start, operator: Operator, tmp_path: Path) -> None:
    defer("report", month="2026-10", until=str(tmp_path / "go"))
    assert status(operator) == ["pending"]
    start()
    until(lambda: operator.newest["progress"] == 40)
    told: dict[str, Any] = operator.newest
    assert (told["type"], told["tags"], told["message"]) == (f"{TASKS}.report", ["queue"], "2026-10")
    assert told["payload"] == {"args": [], "kwargs": {"month": "2026-10", "until": str(tmp_path / "go")}}
    (tmp_path / "go").touch()
    until(lambda: status(operator) == ["completed"])
    assert operator.newest["result"] == {"month": "2026-10"}


def test_a_task_that_fails_is_a_failed_job(start: Start, operator: Operator) -> None:
    start()
    defer("fail")
    until(lambda: status(operator) == ["failed"])
    assert operator.newest["error"].rstrip().endswith("ValueError: no such month")


def test_a_retry_is_a_message_of_the_same_job(start: Start, operator: Operator, tmp_path: Path) -> None:
    start()
    defer("flaky", until=str(tmp_path / "go"))
    until(lambda: operator.jobs and operator.newest["progress"] == 10)
    assert operator.newest["message"] == "attempt 2 of 4"
    (tmp_path / "go").touch()
    until(lambda: status(operator) == ["completed"])
    assert operator.history(operator.newest["id"]) == ["pending", "running", "completed"]


@pytest.mark.parametrize("task", ["endless", "deaf"])
def test_a_cancel_stops_a_task_and_it_is_not_tried_again(
    start: Start, operator: Operator, tmp_path: Path, queue: str, task: str
) -> None:
    start()
    defer(task, mark=str(tmp_path / "begun"))
    until((tmp_path / "begun").exists)
    operator.cancel(operator.newest["id"])
    until(lambda: operator.newest["cancel_confirmed_at"])
    until(lambda: statuses(queue) == ["aborted"])


def test_a_task_that_was_canceled_before_its_turn_does_not_run(
    start: Start, operator: Operator, tmp_path: Path, queue: str
) -> None:
    defer("deaf", mark=str(tmp_path / "begun"))
    operator.cancel(operator.newest["id"])
    start()
    until(lambda: statuses(queue) == ["aborted"])
    assert not (tmp_path / "begun").exists()
    assert operator.newest["cancel_confirmed_at"]


def test_a_task_that_is_interrupted_by_the_end_of_its_worker_goes_on_in_another_one(
    start: Start, operator: Operator, tmp_path: Path, queue: str
) -> None:
    first = start()
    defer("patient", mark=str(tmp_path / "begun"), until=str(tmp_path / "go"))
    until((tmp_path / "begun").exists)
    first.terminate()
    assert first.wait(20) == 0
    assert statuses(queue) == ["todo"]
    job = operator.newest
    assert (job["status"], job["message"]) == ("running", "attempt 1 of 3 was interrupted: its worker ends")
    (tmp_path / "go").touch()
    start()
    until(lambda: statuses(queue) == ["succeeded"])
    assert operator.history(job["id"]) == ["pending", "running", "completed"]


def test_a_task_that_ends_with_its_worker_is_canceled_by_its_runner(
    start: Start, operator: Operator, tmp_path: Path, queue: str
) -> None:
    running = start()
    defer("once", mark=str(tmp_path / "begun"))
    until((tmp_path / "begun").exists)
    running.terminate()
    assert running.wait(20) == 0
    assert statuses(queue) == ["aborted"]
    assert (operator.newest["status"], operator.newest["message"]) == ("canceled", "Its worker was ended.")


def test_tasks_run_while_the_board_is_away(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int, queue: str
) -> None:
    monkeypatch.setenv("CALLBOARD_URL", f"http://127.0.0.1:{port}")
    (tmp_path / "go").touch()
    start()
    defer("report", month="2026-10", until=str(tmp_path / "go"))
    until(lambda: statuses(queue) == ["succeeded"])


def test_the_example(start: Start, queue: str, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sa.make_url(queue)
    told = {"PGHOST": url.host or url.query["host"], "PGPORT": url.port, "PGDATABASE": url.database}
    for name, value in {**told, "PGUSER": url.username, "PGPASSWORD": url.password}.items():
        if value:
            monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "examples" / "runners"))
    start("procrastinate_jobs.app")
    source = "from procrastinate_jobs import app, generate_report\nwith app.open(): generate_report.defer(month='10')"
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60, env=os.environ.copy())
    until(lambda: status(operator) == ["completed"])
    assert operator.newest["result"] == {"pages": 10}
