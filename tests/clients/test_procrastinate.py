"""Procrastinate tasks on the board: what only Procrastinate has. The rest is in ``test_adapter_contract.py``."""

import pytest

from tests.support.engines import work
from tests.support.engines.engine import Engine
from tests.support.engines.procrastinate import Procrastinate
from tests.support.operator import Operator
from tests.support.waiting import wait_until


@pytest.fixture
def engine_class() -> type[Engine]:
    return Procrastinate


def end_worker_in_the_middle_of(engine: Procrastinate, name: str) -> int:
    """Let a worker begin a task, end the worker as its service does, and return the task."""
    engine.start_worker()
    task = engine.enqueue(name)
    wait_until(lambda: work.count_notes("began"))
    engine.worker.terminate()
    assert engine.worker.wait(20) == 0
    return task


def test_a_task_that_is_interrupted_goes_on_in_another_worker(engine: Procrastinate, operator: Operator) -> None:
    task = end_worker_in_the_middle_of(engine, "silent")
    assert engine.get_state(task) == "todo"
    job = operator.newest
    assert (job["status"], job["message"]) == ("running", "attempt 1 of 3 was interrupted: its worker ends")
    work.path_of("go").touch()
    engine.start_worker()
    wait_until(lambda: engine.get_state(task) == "succeeded")
    assert operator.history(job["id"]) == ["pending", "running", "completed"]


def test_a_task_that_ends_with_its_worker_is_canceled_by_its_runner(engine: Procrastinate, operator: Operator) -> None:
    task = end_worker_in_the_middle_of(engine, "once")
    assert engine.get_state(task) == "aborted"
    assert (operator.newest["status"], operator.newest["message"]) == ("canceled", "Its worker was ended.")
