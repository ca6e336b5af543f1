"""RQ jobs on the board: a real worker with its work horses on a real Redis."""

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
from callboard_client.integrations.rq import CallboardJob
from flask import Flask
from redis import Redis
from rq import Callback, Queue, Retry

from tests.clients.conftest import Operator, Outage, lose, until
from tests.clients.workers import BIN, lines, module, worker
from tests.support.clock import Clock
from tests.support.paths import ROOT

SOURCE = """
from redis import Redis
from rq import Queue
from callboard_client.integrations.rq import CallboardJob

class Job(CallboardJob, client=client, grace=0.3, tags=["monthly"], heartbeat_timeout=3):
    pass

redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue("shop", connection=redis, job_class=Job)

def generate_report(month, pages=1):
    current_job().progress(40, message="page 4 of 10")
    wait_for("go")
    return {"pages": pages}

def import_rows(times):
    if note("tried") <= times:
        raise ValueError("no rows yet")
    wait_for("go")
    return 3

def endless():
    note("began")
    try:
        while True:
            current_job().progress(50)
            time.sleep(0.01)
    finally:
        note("ended")

def silent():
    current_job().progress(50)
    note("began")
    time.sleep(600)

def note_it(what):
    note(what)

def note_failure(*_):
    note("failed")
"""
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def shop(
    environ: dict[str, str], redis_socket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """The functions and their queue, as their producer knows them."""
    tasks = module(SOURCE, tmp_path, monkeypatch)
    yield tasks
    tasks.client.close(timeout=0)
    tasks.redis.close()


@pytest.fixture
def start(redis_socket: str, tmp_path: Path) -> Iterator[Start]:
    """Start a worker."""
    with ExitStack() as ends:
        command = (str(BIN / "rq"), "worker", "--url", f"unix://{redis_socket}", "--job-class", "shop.Job", "shop")
        yield lambda *options, **environ: ends.enter_context(worker(tmp_path, *command, *options, **environ))


def test_a_job_of_rq_is_a_job_from_its_enqueueing_to_its_end(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    shop.queue.enqueue(shop.generate_report, "2026-10", pages=10)
    job = operator.newest
    assert (job["type"], job["status"], job["tags"]) == ("generate_report", "pending", ["monthly"])
    assert job["payload"] == {"args": ["2026-10"], "kwargs": {"pages": 10}}
    start()
    until(lambda: operator.newest["progress"] == 40)
    assert (operator.newest["status"], operator.newest["message"]) == ("running", "page 4 of 10")
    (tmp_path / "go").touch()
    until(lambda: operator.newest["status"] == "completed")
    assert operator.newest["result"] == {"pages": 10}
    assert operator.history(job["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


def test_a_retry_is_told_of_the_same_job(shop: ModuleType, start: Start, operator: Operator, tmp_path: Path) -> None:
    shop.queue.enqueue(shop.import_rows, 1, retry=Retry(2, interval=1))
    start("--with-scheduler")
    until(lambda: operator.newest["message"] == "attempt 1 of 3 failed: ValueError: no rows yet")
    until(lambda: operator.newest["message"] == "attempt 2 of 3")
    (tmp_path / "go").touch()
    until(lambda: operator.newest["status"] == "completed")
    assert operator.newest["result"] == {"value": 3}
    assert operator.history(operator.newest["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


def test_a_job_whose_attempts_are_used_up_has_failed_and_is_another_one_when_it_is_requeued(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    job = shop.queue.enqueue(shop.import_rows, 3, retry=Retry(2))
    start()
    until(lambda: operator.newest["status"] == "failed")
    assert operator.newest["error"].strip().endswith("ValueError: no rows yet")
    assert operator.newest["message"] == "attempt 3 of 3"
    assert len(lines(tmp_path / "tried")) == 3
    assert operator.history(operator.newest["id"]) == ["pending", "running", "failed"]
    (tmp_path / "go").touch()
    until(lambda: job.get_status() == "failed")
    shop.Job.fetch(job.id, connection=shop.redis).requeue()
    until(lambda: operator.newest["status"] == "completed")
    assert len(operator.jobs) == 2


@pytest.mark.parametrize("function", ["endless", "silent"])
def test_a_cancel_stops_a_job_and_one_that_waits(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path, function: str
) -> None:
    job = shop.queue.enqueue(f"shop.{function}", retry=Retry(2), on_failure=Callback(shop.note_failure))
    running = operator.newest["id"]
    start()
    until(lambda: operator.job(running)["progress"] == 50)
    shop.queue.enqueue(shop.note_it, "canceled")
    waiting = operator.newest["id"]
    operator.cancel(waiting)
    operator.cancel(running)
    until(lambda: operator.job(waiting)["cancel_confirmed_at"])
    assert operator.job(running)["cancel_confirmed_at"]
    # A job of later is through: what was canceled was neither run nor tried again, nor did it fail.
    shop.queue.enqueue(shop.note_it, "later")
    until(lambda: operator.newest["status"] == "completed")
    assert lines(tmp_path / "began") == [""]
    assert (lines(tmp_path / "canceled"), lines(tmp_path / "failed")) == ([], [])
    assert job.get_status() == "stopped"
    assert {operator.job(job)["status"] for job in (running, waiting)} == {"canceled"}
    # Who reports may clean up.
    assert lines(tmp_path / "ended") == ([""] if function == "endless" else [])


@pytest.mark.parametrize("who", ["work horse", "both"])
def test_a_worker_that_is_killed_is_lost(
    shop: ModuleType, start: Start, operator: Operator, app: Flask, clock: Clock, who: str
) -> None:
    shop.queue.enqueue(shop.generate_report, "2026-10")
    child = start()
    until(lambda: operator.newest["progress"] == 40)
    if who == "both":
        os.kill(child.pid, signal.SIGKILL)
    os.kill(int(operator.newest["runner"].rpartition(":")[2]), signal.SIGKILL)
    lose(operator, app, clock)
    assert (operator.newest["status"], operator.newest["failure_reason"]) == ("failed", "lost")


def test_without_a_board_the_job_runs_and_the_next_work_horse_tells_of_it(
    away: Outage, shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    job = shop.queue.enqueue(shop.generate_report, "2026-10", 3)
    start(CALLBOARD_SPOOL=str(tmp_path / "spool"))
    until(lambda: job.get_status() == "finished")
    assert job.return_value() == {"pages": 3}
    away.start()
    shop.queue.enqueue(shop.note_it, "next")
    until(lambda: [job["status"] for job in operator.jobs] == ["completed", "completed"])
    assert {job["type"] for job in operator.jobs} == {"generate_report", "note_it"}


def test_who_does_not_connect_is_not_slowed_and_the_worker_makes_the_job(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    shop.Queue("shop", connection=shop.redis).enqueue(shop.import_rows, 1, retry=Retry(2))
    assert operator.jobs == []
    start()
    until(lambda: operator.jobs and operator.newest["status"] == "completed")
    assert operator.newest["message"] == "attempt 2 of 3"


@pytest.mark.parametrize("kind", ["SimpleWorker", "SpawnWorker"])
def test_other_workers_do_the_same(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "go").touch()
    shop.queue.enqueue(shop.generate_report, "2026-10")
    start("--worker-class", f"rq.worker.{kind}")
    until(lambda: operator.newest["status"] == "completed")
    assert operator.history(operator.newest["id"]) == ["pending", "running", "completed"]


def test_arguments_may_be_left_out(redis_socket: str, operator: Operator, environ: dict[str, str]) -> None:
    with Client() as client, Redis(unix_socket_path=redis_socket) as connection:

        class Secret(CallboardJob, client=client, payload=False):
            """A job of which nobody reads the arguments."""

        Queue("secrets", connection=connection, job_class=Secret).enqueue(print, "secret")
    assert (operator.newest["type"], operator.newest["status"]) == ("print", "pending")
    assert operator.newest["payload"] is None


def test_the_example(environ: dict[str, str], redis_socket: str, operator: Operator, tmp_path: Path) -> None:
    environ = {"PYTHONPATH": str(ROOT / "examples" / "runners")}
    call = "from rq_jobs import generate_report, queue; queue.enqueue(generate_report, '2026-10')"
    with worker(tmp_path, sys.executable, "-c", call, **environ) as producer:
        assert producer.wait(20) == 0
    command = (
        str(BIN / "rq"),
        "worker",
        "--url",
        f"unix://{redis_socket}",
        "--job-class",
        "rq_jobs.Job",
        "--burst",
        "reports",
    )
    with worker(tmp_path, *command, **environ) as child:
        assert child.wait(20) == 0
    assert (operator.newest["type"], operator.newest["status"]) == ("generate_report", "completed")
    assert (operator.newest["message"], operator.newest["result"]) == ("page 10 of 10", {"pages": 10})
