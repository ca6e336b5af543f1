"""Calls of ``concurrent.futures`` on the board: what only a pool has. The rest is in ``test_adapter_contract.py``."""

import os
import signal
import ssl
import threading
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from callboard_client import Client, JobCanceled
from callboard_client import _transport as client_http
from callboard_client.integrations.futures import TrackedExecutor

from tests.support.engines import work
from tests.support.engines.engine import Engine
from tests.support.engines.futures import FuturesFork, FuturesSpawn, FuturesThreads
from tests.support.operator import Operator
from tests.support.waiting import wait_until


@pytest.fixture(params=[FuturesThreads, FuturesFork, FuturesSpawn])
def engine_class(request: pytest.FixtureRequest) -> type[Engine]:
    engine: type[Engine] = request.param
    return engine


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_calls_are_jobs_in_the_order_of_their_submission(engine: FuturesThreads, operator: Operator) -> None:
    engine.start_worker()
    first = engine.enqueue("generate_report", "2026-10")
    second = engine.executor.submit(len, "four")
    wait_until(lambda: [(job["status"], job["progress"]) for job in operator.jobs] == [("pending", 0), ("running", 40)])
    work.path_of("go").touch()
    assert (first.result(20), second.result(20)) == ({"pages": 1}, 4)
    operator.wait_for_statuses("completed", "completed")
    jobs = [operator.job(job["id"]) for job in operator.jobs]
    assert [(job["type"], job["result"], job["tags"]) for job in jobs] == [
        ("len", {"value": 4}, ["monthly"]),
        ("generate_report", {"pages": 1}, ["monthly"]),
    ]
    assert jobs[0]["payload"] == {"args": ["four"], "kwargs": {}}


def test_an_exception_fails_the_job_and_is_the_future_s(engine: FuturesThreads, operator: Operator) -> None:
    engine.start_worker()
    with pytest.raises(ValueError, match="no such month"):
        engine.enqueue("fail").result(20)
    assert operator.newest["status"] == "failed"


def test_a_future_that_is_canceled_cancels_its_job(engine: FuturesThreads, operator: Operator) -> None:
    second = engine.enqueue("note", "ran")
    third = engine.enqueue("note", "ran")
    # A process pool takes one call more than it has processes, and that cannot be canceled any more.
    last = engine.enqueue("note", "ran")
    wait_until(lambda: len(operator.jobs) == 3)
    operator.cancel(operator.jobs[2]["id"])
    operator.cancel(operator.jobs[1]["id"])
    assert last.cancel()
    engine.start_worker()
    for future in (second, third):
        with pytest.raises(JobCanceled):
            future.result(20)
    operator.wait_for_statuses("canceled", "canceled", "canceled")
    assert work.count_notes("ran") == 0


def test_arguments_that_change_while_they_wait_are_shown_as_submitted(
    engine: FuturesThreads, operator: Operator
) -> None:
    engine.enqueue("generate_report", "2026-10")
    pages = ["first"]
    second = engine.executor.submit(len, pages)
    wait_until(lambda: len(operator.jobs) == 2)
    pages.append("second")
    engine.start_worker()
    work.path_of("go").touch()
    assert second.result(20)
    operator.wait_for_statuses("completed", "completed")
    assert operator.newest["payload"] == {"args": [["first"]], "kwargs": {}}


threads_in_openssl: list[str] = []


def list_threads_in_openssl() -> list[str]:
    """Return them as the process that runs this knows them."""
    return threads_in_openssl


def test_a_fork_never_meets_a_thread_in_the_middle_of_openssl(
    environ: dict[str, str], operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that another thread held is never given back in the child: its first report would wait for ever."""
    create_default_context = ssl.create_default_context

    def create_and_note(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        threads_in_openssl.append(threading.current_thread().name)
        return create_default_context(*args, **kwargs)

    monkeypatch.setattr(ssl, "create_default_context", create_and_note)
    client_http._ssl_context.cache_clear()
    threads_in_openssl.clear()
    with Client() as client, TrackedExecutor(FuturesFork.make_pool(), client) as pool:
        assert pool.submit(list_threads_in_openssl).result(20) == ["MainThread"]
    assert threads_in_openssl == ["MainThread"]
    assert operator.statuses == ["completed"]


def test_a_process_that_dies_fails_its_job_at_once(runner: Client, operator: Operator) -> None:
    with TrackedExecutor(FuturesSpawn.make_pool(), runner) as pool, pytest.raises(BrokenProcessPool):
        pool.submit(die).result(20)
    operator.wait_for_statuses("failed")
    assert "BrokenProcessPool" in operator.newest["error"]
