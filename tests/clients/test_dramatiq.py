"""Dramatiq messages on the board: a real worker on a real Redis."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import dramatiq
import pytest
from callboard_client import Client
from callboard_client.integrations.dramatiq import CallboardMiddleware
from dramatiq.brokers.stub import StubBroker
from flask import Flask

from tests.clients.conftest import Operator, Outage, lose, until
from tests.clients.workers import BIN, lines, module, worker
from tests.support.clock import Clock
from tests.support.paths import ROOT

SOURCE = """
import dramatiq
from callboard_client.integrations.dramatiq import CallboardMiddleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(Results(backend=RedisBackend(client=broker.client)))
broker.add_middleware(CallboardMiddleware(client, grace=0.3, tags=["monthly"], heartbeat_timeout=3))
dramatiq.set_broker(broker)

@dramatiq.actor(store_results=True)
def generate_report(month, pages=1):
    current_job().progress(40, message="page 4 of 10")
    wait_for("go")
    return {"pages": pages}

@dramatiq.actor(max_retries=2, min_backoff=1, max_backoff=1, store_results=True)
def import_rows(times):
    if note("tried") <= times:
        raise ValueError("no rows yet")
    wait_for("go")
    return 3

@dramatiq.actor(max_retries=2, on_failure="note_failure")
def endless():
    note("began")
    try:
        while True:
            current_job().progress(50)
            time.sleep(0.01)
    finally:
        note("ended")

@dramatiq.actor(max_retries=2, on_failure="note_failure")
def silent():
    current_job().progress(50)
    note("began")
    try:
        while True:
            time.sleep(0.01)
    finally:
        note("ended")

@dramatiq.actor
def note_it(what):
    note(what)

@dramatiq.actor
def note_failure(*_):
    note("failed")
"""
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def shop(
    environ: dict[str, str], redis_socket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """The actors, as their producer knows them."""
    tasks = module(SOURCE, tmp_path, monkeypatch)
    yield tasks
    tasks.client.close(timeout=0)
    tasks.broker.client.close()


@pytest.fixture
def start(redis_socket: str, tmp_path: Path) -> Iterator[Start]:
    """Start a worker."""
    with ExitStack() as ends:
        command = (str(BIN / "dramatiq"), "shop", "--processes", "1", "--threads", "1")
        impatient = {"dramatiq_worker_timeout": "50"}
        yield lambda **environ: ends.enter_context(worker(tmp_path, *command, **impatient, **environ))


def test_a_message_is_a_job_from_its_sending_to_its_end(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    shop.generate_report.send("2026-10", pages=10)
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
    delay = {"min_backoff": 1000, "max_backoff": 1000}
    shop.import_rows.send_with_options(args=(1,), **delay)
    start()
    until(lambda: operator.newest["message"] == "attempt 1 of 3 failed: ValueError: no rows yet")
    until(lambda: operator.newest["message"] == "attempt 2 of 3")
    (tmp_path / "go").touch()
    until(lambda: operator.newest["status"] == "completed")
    assert operator.newest["result"] == {"value": 3}
    assert operator.history(operator.newest["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


def test_a_message_whose_attempts_are_used_up_has_failed(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    shop.import_rows.send(9)
    start()
    until(lambda: operator.newest["status"] == "failed")
    assert operator.newest["error"].strip().endswith("ValueError: no rows yet")
    assert operator.newest["message"] == "attempt 3 of 3"
    assert len(lines(tmp_path / "tried")) == 3
    assert operator.history(operator.newest["id"]) == ["pending", "running", "failed"]


@pytest.mark.parametrize("actor", ["endless", "silent"])
def test_a_cancel_stops_an_actor_and_one_that_waits(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path, actor: str
) -> None:
    shop.broker.get_actor(actor).send()
    running = operator.newest["id"]
    start()
    until(lambda: operator.job(running)["progress"] == 50)
    shop.note_it.send("canceled")
    waiting = operator.newest["id"]
    operator.cancel(waiting)
    operator.cancel(running)
    until(lambda: operator.job(waiting)["cancel_confirmed_at"])
    assert operator.job(running)["cancel_confirmed_at"]
    # A message of later is through: what was canceled was neither run nor tried again, nor did it fail.
    shop.note_it.send("later")
    until(lambda: operator.newest["status"] == "completed")
    assert (lines(tmp_path / "began"), lines(tmp_path / "ended")) == ([""], [""])
    assert (lines(tmp_path / "canceled"), lines(tmp_path / "failed")) == ([], [])
    assert {operator.job(job)["status"] for job in (running, waiting)} == {"canceled"}


def test_a_worker_that_is_killed_is_lost(
    shop: ModuleType, start: Start, operator: Operator, app: Flask, clock: Clock
) -> None:
    shop.generate_report.send("2026-10")
    start()
    until(lambda: operator.newest["progress"] == 40)
    os.kill(int(operator.newest["runner"].rpartition(":")[2]), signal.SIGKILL)
    lose(operator, app, clock)
    assert (operator.newest["status"], operator.newest["failure_reason"]) == ("failed", "lost")


def test_without_a_board_the_actor_runs_and_the_board_hears_of_it_later(
    away: Outage, shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    message = shop.generate_report.send("2026-10", 3)
    start()
    assert message.get_result(backend=shop.broker.get_results_backend(), block=True, timeout=20_000) == {"pages": 3}
    away.start()
    until(lambda: operator.jobs and operator.newest["status"] == "completed")
    assert (operator.newest["result"], len(operator.jobs)) == ({"pages": 3}, 1)


def test_who_does_not_connect_is_not_slowed_and_the_worker_makes_the_job(
    shop: ModuleType, start: Start, operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    plain = shop.RedisBroker(url=os.environ["REDIS_URL"])
    plain.enqueue(shop.generate_report.message("2026-10"))
    plain.client.close()
    assert operator.jobs == []
    start()
    until(lambda: operator.jobs and operator.newest["status"] == "completed")


def test_arguments_may_be_left_out(environ: dict[str, str], operator: Operator) -> None:
    broker = StubBroker()
    with Client() as client:
        broker.add_middleware(CallboardMiddleware(client, payload=False))

        @dramatiq.actor(broker=broker)
        def send_password(_: str) -> None: ...

        send_password.send("secret")
    assert (operator.newest["type"], operator.newest["status"]) == ("send_password", "pending")
    assert operator.newest["payload"] is None


def test_the_example(environ: dict[str, str], redis_socket: str, operator: Operator, tmp_path: Path) -> None:
    environ = {"PYTHONPATH": str(ROOT / "examples" / "runners"), "dramatiq_worker_timeout": "50"}
    call = "from dramatiq_jobs import generate_report; generate_report.send('2026-10')"
    with worker(tmp_path, sys.executable, "-c", call, **environ) as producer:
        assert producer.wait(20) == 0
    with worker(tmp_path, str(BIN / "dramatiq"), "dramatiq_jobs", "--processes", "1", **environ):
        until(lambda: operator.newest["status"] == "completed")
    assert (operator.newest["type"], operator.newest["result"]) == ("generate_report", {"pages": 10})
    assert operator.newest["message"] == "page 10 of 10"
