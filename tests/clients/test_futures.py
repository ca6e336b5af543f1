"""``concurrent.futures`` with its real pools of threads and of processes: every call is a job."""

import multiprocessing
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from callboard_client import Client, JobCanceled, current_job
from callboard_client import _transport as client_http
from callboard_client.integrations.futures import TrackedExecutor

from tests.clients.conftest import Operator, until
from tests.clients.test_examples import EXAMPLES, run

POOLS: dict[str, Callable[[], Executor]] = {
    "threads": partial(ThreadPoolExecutor, 1),
    "fork": partial(ProcessPoolExecutor, 1, mp_context=multiprocessing.get_context("fork")),
    "spawn": partial(ProcessPoolExecutor, 1, mp_context=multiprocessing.get_context("spawn")),
}


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest, runner: Client) -> Iterator[TrackedExecutor]:
    """One thread or process at work."""
    with TrackedExecutor(POOLS[request.param](), runner, tags=["futures"], heartbeat_timeout=2) as pool:
        yield pool


def report(month: str, until_there: str) -> dict[str, str]:
    current_job().progress(40, message=month)
    wait_for(until_there)
    return {"month": month}


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.01)


def fail() -> None:
    raise ValueError("no such month")


def endless() -> None:
    while True:
        current_job().progress(10)
        time.sleep(0.01)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_call_is_one_job_from_being_submitted_to_its_end(
    pool: TrackedExecutor, operator: Operator, tmp_path: Path
) -> None:
    first = pool.submit(report, "2026-10", str(tmp_path / "go"))
    second = pool.submit(len, "four")
    until(lambda: [(job["status"], job["progress"]) for job in operator.jobs] == [("pending", 0), ("running", 40)])
    (tmp_path / "go").touch()
    assert (first.result(20), second.result(20)) == ({"month": "2026-10"}, 4)
    until(lambda: [job["status"] for job in operator.jobs] == ["completed", "completed"])
    told = [operator.job(job["id"]) for job in operator.jobs]
    assert [(job["type"], job["result"], job["tags"]) for job in told] == [
        ("len", {"value": 4}, ["futures"]),
        ("report", {"month": "2026-10"}, ["futures"]),
    ]
    assert told[0]["payload"] == {"args": ["four"], "kwargs": {}}


def test_an_exception_fails_the_job_and_is_the_future_s(pool: TrackedExecutor, operator: Operator) -> None:
    with pytest.raises(ValueError, match="no such month"):
        pool.submit(fail).result(20)
    assert operator.newest["status"] == "failed"
    assert operator.newest["error"].rstrip().endswith("ValueError: no such month")


def test_a_cancel_on_the_board_stops_the_call(pool: TrackedExecutor, operator: Operator) -> None:
    future = pool.submit(endless)
    until(lambda: operator.jobs and operator.newest["status"] == "running")
    operator.cancel(operator.newest["id"])
    with pytest.raises(JobCanceled):
        future.result(20)
    assert operator.newest["cancel_confirmed_at"]


def test_a_call_that_was_canceled_before_its_turn_does_not_run(
    pool: TrackedExecutor, operator: Operator, tmp_path: Path
) -> None:
    pool.submit(report, "2026-10", str(tmp_path / "go"))
    second = pool.submit(Path.touch, tmp_path / "ran")
    third = pool.submit(Path.touch, tmp_path / "ran")
    # A process pool takes one call more than it has processes, and that cannot be canceled any more.
    last = pool.submit(Path.touch, tmp_path / "ran")
    until(lambda: len(operator.jobs) == 4)
    operator.cancel(operator.jobs[2]["id"])
    operator.cancel(operator.jobs[1]["id"])
    assert last.cancel()
    (tmp_path / "go").touch()
    for future in (second, third):
        with pytest.raises(JobCanceled):
            future.result(20)
    until(lambda: [job["status"] for job in operator.jobs] == ["canceled"] * 3 + ["completed"])
    assert not (tmp_path / "ran").exists()


def test_arguments_that_change_while_they_wait_are_told_as_they_were_submitted(
    pool: TrackedExecutor, operator: Operator, tmp_path: Path
) -> None:
    pool.submit(report, "2026-10", str(tmp_path / "go"))
    pages = ["first"]
    second = pool.submit(len, pages)
    until(lambda: len(operator.jobs) == 2)
    pages.append("second")
    (tmp_path / "go").touch()
    assert second.result(20)
    until(lambda: [job["status"] for job in operator.jobs] == ["completed", "completed"])
    assert operator.newest["payload"] == {"args": [["first"]], "kwargs": {}}


def test_a_fork_never_meets_a_thread_in_the_middle_of_openssl(
    environ: dict[str, str], operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that another thread held is never given back in the child: its first report would wait for ever."""
    real = ssl.create_default_context

    def noted(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        threads_in_openssl.append(threading.current_thread().name)
        return real(*args, **kwargs)

    monkeypatch.setattr(ssl, "create_default_context", noted)
    client_http._ssl_context.cache_clear()
    threads_in_openssl.clear()
    with Client() as client, TrackedExecutor(POOLS["fork"](), client) as pool:
        assert pool.submit(in_openssl).result(20) == ["MainThread"]
    assert threads_in_openssl == ["MainThread"]
    assert [job["status"] for job in operator.jobs] == ["completed"]


threads_in_openssl: list[str] = []


def in_openssl() -> list[str]:
    """As the process that runs it knows them."""
    return threads_in_openssl


def test_a_process_that_dies_fails_its_job_at_once(runner: Client, operator: Operator) -> None:
    with TrackedExecutor(POOLS["spawn"](), runner) as pool, pytest.raises(BrokenProcessPool):
        pool.submit(die).result(20)
    until(lambda: [job["status"] for job in operator.jobs] == ["failed"])
    assert "BrokenProcessPool" in operator.newest["error"]


def test_calls_run_while_the_board_is_away(port: int) -> None:
    with Client(f"http://127.0.0.1:{port}", "cb_a_b") as client:
        with TrackedExecutor(ThreadPoolExecutor(1), client) as pool:
            assert pool.submit(threading.get_ident).result(20)
        client.close(timeout=0)


def test_the_example(environ: dict[str, str], operator: Operator) -> None:
    run("python", str(EXAMPLES / "futures_jobs.py"))
    assert [(job["type"], job["status"]) for job in operator.jobs] == [("generate_report", "completed")] * 3
