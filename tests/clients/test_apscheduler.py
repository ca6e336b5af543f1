"""APScheduler's own schedulers and executors: every run is a job, and so is one that did not happen."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from callboard_client import Client, current_job
from callboard_client.integrations.apscheduler import connect

from tests.clients.conftest import Operator, awaited, until
from tests.clients.test_examples import EXAMPLES
from tests.clients.test_futures import endless, fail, report

Program = Callable[..., Any]


@pytest.fixture(params=["threads", "processes"])
def scheduler(request: pytest.FixtureRequest, runner: Client) -> Iterator[BackgroundScheduler]:
    kind = ThreadPoolExecutor if request.param == "threads" else ProcessPoolExecutor
    # A new process takes its time where the machine has other work.
    patient = {"misfire_grace_time": 60}
    scheduler = BackgroundScheduler(executors={"default": kind(2)}, timezone=UTC, job_defaults=patient)
    connect(scheduler, runner, tags=["nightly"], heartbeat_timeout=2)
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


def at_once(scheduler: BackgroundScheduler, function: Callable[..., Any], *args: str, **more: Any) -> None:
    scheduler.add_job(function, "date", run_date=datetime.now(UTC), args=args, **more)


def test_a_run_is_a_job(scheduler: BackgroundScheduler, operator: Operator, tmp_path: Path) -> None:
    at_once(scheduler, report, "2026-10", str(tmp_path / "go"), name="monthly report")
    until(lambda: operator.jobs and operator.newest["progress"] == 40)
    job = operator.newest
    assert (job["type"], job["status"], job["tags"]) == ("monthly report", "running", ["nightly"])
    assert job["payload"] == {"args": ["2026-10", str(tmp_path / "go")], "kwargs": {}}
    (tmp_path / "go").touch()
    until(lambda: operator.newest["status"] == "completed")
    assert operator.newest["result"] == {"month": "2026-10"}


def test_a_run_that_raises_is_a_failed_job(scheduler: BackgroundScheduler, operator: Operator) -> None:
    at_once(scheduler, fail)
    until(lambda: operator.jobs and operator.newest["status"] == "failed")
    assert operator.newest["error"].rstrip().endswith("ValueError: no such month")


def counts() -> None:
    current_job().result = {"n": 3}


def test_a_result_that_the_function_sets_is_told(scheduler: BackgroundScheduler, operator: Operator) -> None:
    at_once(scheduler, counts)
    until(lambda: operator.jobs and operator.newest["status"] == "completed")
    assert operator.newest["result"] == {"n": 3}


def test_a_cancel_stops_a_run_and_the_next_one_comes(scheduler: BackgroundScheduler, operator: Operator) -> None:
    at_once(scheduler, endless, name="endless")
    until(lambda: operator.jobs and operator.newest["status"] == "running")
    operator.cancel(operator.newest["id"])
    until(lambda: operator.newest["cancel_confirmed_at"])
    at_once(scheduler, fail, name="next")
    until(lambda: operator.newest["type"] == "next")


def test_a_run_that_did_not_happen_is_a_failed_job(
    scheduler: BackgroundScheduler, operator: Operator, tmp_path: Path
) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    scheduler.add_job(fail, "date", run_date=long_ago, misfire_grace_time=60, name="late")
    until(lambda: [job["status"] for job in operator.jobs] == ["failed"])
    assert f"The run of {long_ago:%Y-%m-%d %H:%M:%S} UTC was missed" in operator.newest["error"]
    scheduler.add_job(report, "interval", seconds=0.1, args=["2026-10", str(tmp_path / "go")], name="slow")

    def omitted() -> list[str]:
        return [job["id"] for job in operator.jobs if (job["type"], job["status"]) == ("slow", "failed")]

    until(omitted)
    (tmp_path / "go").touch()
    assert "was left out: earlier ones are still at work" in operator.job(omitted()[-1])["error"]


async def counted() -> dict[str, int]:
    current_job().progress(50)
    await asyncio.sleep(0)
    return {"n": 1}


def test_a_coroutine_is_awaited(runner: Client, operator: Operator) -> None:
    async def main() -> None:
        scheduler = AsyncIOScheduler(timezone=UTC)
        connect(scheduler, runner)
        scheduler.start()
        scheduler.add_job(counted, "date", run_date=datetime.now(UTC))
        deadline = time.monotonic() + 20
        while not await asyncio.to_thread(lambda: [job for job in operator.jobs if job["status"] == "completed"]):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        scheduler.shutdown()

    awaited(main())
    assert (operator.newest["type"], operator.newest["result"]) == ("counted", {"n": 1})


def test_the_example(program: Program, operator: Operator) -> None:
    program((EXAMPLES / "apscheduler_jobs.py").read_text().replace("seconds=5", "seconds=1"))
    until(lambda: operator.jobs and operator.jobs[-1]["status"] == "completed")
    assert operator.jobs[-1]["type"] == "clean_up"
