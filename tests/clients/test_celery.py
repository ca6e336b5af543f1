"""Celery tasks on the board: what only Celery has. The rest is in ``test_adapter_contract.py``."""

import os
import signal

import psutil
import pytest

from tests.support.engines import work
from tests.support.engines.celery import Celery
from tests.support.engines.engine import Engine
from tests.support.operator import Operator
from tests.support.waiting import wait_until


@pytest.fixture
def engine_class() -> type[Engine]:
    return Celery


def test_a_pool_process_that_dies_fails_its_job_at_once(engine: Celery, operator: Operator) -> None:
    engine.enqueue("silent")
    engine.start_worker()
    wait_until(lambda: work.count_notes("began"))
    runner = operator.newest["runner"]
    (pool_process,) = [
        process for process in psutil.Process(engine.worker.pid).children() if f":{process.pid}" in runner
    ]
    os.kill(pool_process.pid, signal.SIGKILL)
    assert "WorkerLostError" in operator.wait_for_newest(status="failed")["error"]


def test_a_task_that_celery_ends_at_its_time_limit_is_a_failed_job(engine: Celery, operator: Operator) -> None:
    engine.enqueue("overdue")
    engine.start_worker()
    assert "TimeLimitExceeded" in operator.wait_for_newest(status="failed")["error"]


def test_arguments_are_shown_as_the_worker_receives_them(engine: Celery, operator: Operator) -> None:
    engine.run_source("from shop import Customer, greet\ngreet.delay(Customer(), {True: 1, None: (2,)})")
    assert operator.newest["payload"] == {"args": [{"name": "Ada"}, {"true": 1, "null": [2]}], "kwargs": {}}
    engine.start_worker()
    assert operator.wait_for_newest(status="completed")["result"] == {"value": "Ada"}


@pytest.mark.parametrize(("task", "arguments"), [("reject", []), ("import_rows", [1])])
def test_nobody_speaks_for_a_task_that_is_not_at_work(engine: Celery, task: str, arguments: list[int]) -> None:
    work.path_of("go").touch()
    engine.run_source(
        f"from shop import client, {task}\n{task}.apply(args={arguments!r})\n"
        "assert client._sender._schedule.heartbeats == {}"
    )
