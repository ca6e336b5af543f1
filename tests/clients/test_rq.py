"""RQ jobs on the board: what only RQ has. The rest is in ``test_adapter_contract.py``."""

import os
import signal

import pytest
from flask import Flask

from tests.support.clock import Clock
from tests.support.engines import work
from tests.support.engines.engine import Engine
from tests.support.engines.rq import Rq
from tests.support.operator import Operator, wait_until_lost
from tests.support.waiting import wait_until


@pytest.fixture
def engine_class() -> type[Engine]:
    return Rq


def test_a_failed_job_that_is_requeued_is_another_one(engine: Rq, operator: Operator) -> None:
    job = engine.enqueue("import_rows", 3)
    engine.start_worker()
    operator.wait_for_newest(status="failed")
    work.path_of("go").touch()
    wait_until(lambda: job.get_status() == "failed")
    engine.shop.Job.fetch(job.id, connection=engine.shop.redis).requeue()
    operator.wait_for_newest(status="completed")
    assert len(operator.jobs) == 2


def test_a_work_horse_that_is_killed_has_lost_its_job(engine: Rq, operator: Operator, app: Flask, clock: Clock) -> None:
    engine.enqueue("generate_report", "2026-10")
    engine.start_worker()
    job = operator.wait_for_newest(progress=40)
    os.kill(int(job["runner"].rpartition(":")[2]), signal.SIGKILL)
    wait_until_lost(operator, app, clock)


@pytest.mark.parametrize("kind", ["SimpleWorker", "SpawnWorker"])
def test_other_workers_do_the_same(engine: Rq, operator: Operator, kind: str) -> None:
    work.path_of("go").touch()
    engine.enqueue("generate_report", "2026-10")
    engine.start_worker("--worker-class", f"rq.worker.{kind}")
    job = operator.wait_for_newest(status="completed")
    assert operator.history(job["id"]) == ["pending", "running", "completed"]
