"""Huey tasks on the board: a real consumer on a real queue in SQLite."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from callboard_client import Client
from callboard_client.integrations.huey import connect
from flask import Flask
from huey import MemoryHuey

from tests.clients.conftest import Operator, Outage, lose, until
from tests.clients.workers import BIN, lines, module, worker
from tests.support.clock import Clock
from tests.support.paths import ROOT

SOURCE = """
from huey import SqliteHuey
from callboard_client.integrations.huey import connect

huey = SqliteHuey(filename=str(HERE / "huey.db"))
connect(huey, client, tags=["monthly"], heartbeat_timeout=30)

@huey.task()
def generate_report(month, pages=1):
    current_job().progress(40, message="page 4 of 10")
    wait_for("go")
    return {"pages": pages}

@huey.task(retries=2)
def import_rows(times):
    if note("tried") <= times:
        raise ValueError("no rows yet")
    wait_for("go")
    return 3

@huey.task(retries=2)
def endless():
    note("began")
    try:
        while True:
            current_job().progress(50)
            time.sleep(0.01)
    finally:
        note("ended")

@huey.task()
def note_it(what):
    note(what)
"""
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def shop(environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The tasks, as their producer knows them."""
    tasks = module(SOURCE, tmp_path, monkeypatch)
    yield tasks
    tasks.client.close(timeout=0)
    tasks.huey.storage.close()


@pytest.fixture
def start(shop: ModuleType, tmp_path: Path) -> Iterator[Start]:
    """Start a worker."""
    with ExitStack() as ends:
        consumer = (str(BIN / "huey_consumer"), "shop.huey", "--delay", "0.02", "--max-delay", "0.05")
        yield lambda *options, **environ: ends.enter_context(worker(tmp_path, *consumer, *options, **environ))


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_task_is_a_job_from_its_call_to_its_end(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path, kind: str
) -> None:
    shop.generate_report("2026-10", pages=10)
    job = operator.newest
    assert (job["type"], job["status"], job["tags"]) == ("generate_report", "pending", ["monthly"])
    assert job["payload"] == {"args": ["2026-10"], "kwargs": {"pages": 10}}
    start("--worker-type", kind)
    until(lambda: operator.newest["progress"] == 40)
    assert (operator.newest["status"], operator.newest["message"]) == ("running", "page 4 of 10")
    (tmp_path / "go").touch()
    until(lambda: operator.newest["status"] == "completed")
    assert operator.newest["result"] == {"pages": 10}
    assert operator.history(job["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


def test_a_retry_is_told_of_the_same_job(shop: ModuleType, start: Start, operator: Operator, tmp_path: Path) -> None:
    shop.import_rows(1, retry_delay=1)
    start()
    until(lambda: operator.newest["message"] == "attempt 1 of 3 failed: ValueError: no rows yet")
    until(lambda: operator.newest["message"] == "attempt 2 of 3")
    (tmp_path / "go").touch()
    until(lambda: operator.newest["status"] == "completed")
    assert operator.newest["result"] == {"value": 3}
    assert operator.history(operator.newest["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


def test_a_task_whose_attempts_are_used_up_has_failed(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    shop.import_rows(9)
    start()
    until(lambda: operator.newest["status"] == "failed")
    assert operator.newest["error"].strip().endswith("ValueError: no rows yet")
    assert operator.newest["message"] == "attempt 3 of 3"
    assert len(lines(tmp_path / "tried")) == 3
    assert operator.history(operator.newest["id"]) == ["pending", "running", "failed"]


def test_a_cancel_stops_a_task_and_one_that_waits(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    shop.endless()
    running = operator.newest["id"]
    shop.note_it("canceled")
    waiting = operator.newest["id"]
    start("--workers", "1")
    until(lambda: operator.job(running)["progress"] == 50)
    operator.cancel(waiting)
    operator.cancel(running)
    until(lambda: operator.job(waiting)["cancel_confirmed_at"])
    assert operator.job(running)["cancel_confirmed_at"]
    # A task of later is through: what was canceled was neither run nor tried again.
    shop.note_it("later")
    until(lambda: operator.newest["status"] == "completed")
    assert (lines(tmp_path / "began"), lines(tmp_path / "ended"), lines(tmp_path / "canceled")) == ([""], [""], [])
    assert {operator.job(job)["status"] for job in (running, waiting)} == {"canceled"}


def test_a_task_that_huey_does_not_run_is_not_pending_for_ever(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    shop.note_it("revoked").revoke()
    start()
    until(lambda: operator.newest["status"] == "canceled")
    assert operator.newest["message"] == "Huey did not run it: revoked."
    assert lines(tmp_path / "revoked") == []


def test_a_worker_that_is_told_to_end_fails_its_task(shop: ModuleType, start: Start, operator: Operator) -> None:
    shop.generate_report("2026-10")
    child = start()
    until(lambda: operator.newest["progress"] == 40)
    child.terminate()
    until(lambda: operator.newest["status"] == "failed")
    assert operator.newest["error"] == "The worker was stopped before the task had ended."


def test_a_worker_that_is_killed_is_lost(
    shop: ModuleType, start: Start, operator: Operator, app: Flask, clock: Clock
) -> None:
    shop.generate_report("2026-10")
    child = start()
    until(lambda: operator.newest["progress"] == 40)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    lose(operator, app, clock)
    assert (operator.newest["status"], operator.newest["failure_reason"]) == ("failed", "lost")


def test_without_a_board_the_task_runs_and_the_board_hears_of_it_later(
    away: Outage, shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    heard = shop.generate_report("2026-10", 3)
    start()
    assert heard.get(blocking=True, timeout=20) == {"pages": 3}
    away.start()
    until(lambda: operator.jobs and operator.newest["status"] == "completed")
    assert (operator.newest["result"], len(operator.jobs)) == ({"pages": 3}, 1)


def test_who_does_not_connect_is_not_slowed_and_the_worker_makes_the_job(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    plain = shop.SqliteHuey(filename=str(tmp_path / "huey.db"))
    plain._registry = shop.huey._registry
    plain.enqueue(shop.generate_report.s("2026-10"))
    plain.storage.close()
    assert operator.jobs == []
    start()
    until(lambda: operator.jobs and operator.newest["status"] == "completed")


def test_arguments_may_be_left_out(environ: dict[str, str], operator: Operator) -> None:
    with Client() as client:
        huey = MemoryHuey(immediate=True)
        connect(huey, client, payload=False)
        sent: list[str] = []
        huey.task(name="send_password")(sent.append)("secret")
        assert sent == ["secret"]
    assert (operator.newest["type"], operator.newest["status"]) == ("send_password", "completed")
    assert operator.newest["payload"] is None


def test_the_example(environ: dict[str, str], operator: Operator, tmp_path: Path) -> None:
    environ = {"PYTHONPATH": str(ROOT / "examples" / "runners")}
    call = "from huey_jobs import generate_report; generate_report('2026-10')"
    with worker(tmp_path, sys.executable, "-c", call, **environ) as producer:
        assert producer.wait(20) == 0
    with worker(tmp_path, str(BIN / "huey_consumer"), "huey_jobs.huey", **environ):
        until(lambda: operator.newest["status"] == "completed")
    assert (operator.newest["type"], operator.newest["result"]) == ("generate_report", {"pages": 10})
    assert operator.newest["message"] == "page 10 of 10"
