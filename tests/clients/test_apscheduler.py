"""APScheduler's runs on the board: what only a schedule has. The rest is in ``test_adapter_contract.py``."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from callboard_client import Client, current_job
from callboard_client.integrations.apscheduler import connect

from tests.support.engines import work
from tests.support.engines.apscheduler import ApschedulerProcesses, ApschedulerThreads
from tests.support.engines.engine import Engine
from tests.support.operator import Operator
from tests.support.waiting import run_coroutine, wait_until


@pytest.fixture(params=[ApschedulerThreads, ApschedulerProcesses])
def engine_class(request: pytest.FixtureRequest) -> type[Engine]:
    engine: type[Engine] = request.param
    return engine


def count_rows() -> None:
    current_job().result = {"n": 3}


def test_the_type_of_a_run_is_the_name_of_its_job(engine: ApschedulerThreads, operator: Operator) -> None:
    engine.start_worker()
    engine.scheduler.add_job(work.note, "date", run_date=datetime.now(UTC), args=["ran"], name="monthly report")
    assert operator.wait_for_newest(status="completed")["type"] == "monthly report"


def test_a_result_that_the_function_sets_is_reported(engine: ApschedulerThreads, operator: Operator) -> None:
    engine.start_worker()
    engine.scheduler.add_job(count_rows, "date", run_date=datetime.now(UTC))
    assert operator.wait_for_newest(status="completed")["result"] == {"n": 3}


def test_a_run_that_did_not_happen_is_a_failed_job(engine: ApschedulerThreads, operator: Operator) -> None:
    engine.start_worker()
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    engine.scheduler.add_job(work.fail, "date", run_date=long_ago, misfire_grace_time=60, name="late")
    operator.wait_for_statuses("failed")
    assert f"The run of {long_ago:%Y-%m-%d %H:%M:%S} UTC was missed" in operator.newest["error"]
    engine.scheduler.add_job(work.generate_report, "interval", seconds=0.1, args=["2026-10"], name="slow")

    def list_omitted() -> list[str]:
        return [job["id"] for job in operator.jobs if (job["type"], job["status"]) == ("slow", "failed")]

    wait_until(list_omitted)
    work.path_of("go").touch()
    assert "was left out: earlier ones are still at work" in operator.job(list_omitted()[-1])["error"]


async def count_slowly() -> dict[str, int]:
    current_job().progress(50)
    await asyncio.sleep(0)
    return {"n": 1}


def test_a_coroutine_is_awaited(runner: Client, operator: Operator) -> None:
    async def main() -> None:
        scheduler = AsyncIOScheduler(timezone=UTC)
        connect(scheduler, runner)
        scheduler.start()
        scheduler.add_job(count_slowly, "date", run_date=datetime.now(UTC))
        deadline = time.monotonic() + 20
        while not await asyncio.to_thread(lambda: [job for job in operator.jobs if job["status"] == "completed"]):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        scheduler.shutdown()

    run_coroutine(main())
    assert (operator.newest["type"], operator.newest["result"]) == ("count_slowly", {"n": 1})
