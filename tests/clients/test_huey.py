"""Huey tasks on the board: what only Huey has. The rest is in ``test_adapter_contract.py``."""

import pytest
from callboard_client import Client
from callboard_client.integrations.huey import connect
from huey import MemoryHuey

from tests.support.engines import work
from tests.support.engines.engine import Engine
from tests.support.engines.huey import Huey
from tests.support.operator import Operator


@pytest.fixture
def engine_class() -> type[Engine]:
    return Huey


def test_a_consumer_with_processes_does_the_same(engine: Huey, operator: Operator) -> None:
    engine.enqueue("generate_report", "2026-10", pages=10)
    engine.start_worker("--worker-type", "process")
    job = operator.wait_for_newest(progress=40)
    assert (job["status"], job["message"]) == ("running", "page 4 of 10")
    work.path_of("go").touch()
    assert operator.wait_for_newest(status="completed")["result"] == {"pages": 10}
    assert operator.history(job["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


def test_a_task_that_huey_does_not_run_is_not_pending_for_ever(engine: Huey, operator: Operator) -> None:
    engine.enqueue("note", "revoked").revoke()
    engine.start_worker()
    job = operator.wait_for_newest(status="canceled")
    assert job["message"] == "Huey did not run it: revoked."
    assert work.count_notes("revoked") == 0


def test_a_worker_that_is_told_to_end_fails_its_task(engine: Huey, operator: Operator) -> None:
    engine.enqueue("generate_report", "2026-10")
    engine.start_worker()
    operator.wait_for_newest(progress=40)
    engine.worker.terminate()
    job = operator.wait_for_newest(status="failed")
    assert job["error"] == "The worker was stopped before the task had ended."


def test_a_queue_without_a_worker_reports_what_it_runs_at_once(environ: dict[str, str], operator: Operator) -> None:
    with Client() as client:
        huey = MemoryHuey(immediate=True)
        connect(huey, client, payload=False)
        sent: list[str] = []
        huey.task(name="send_password")(sent.append)("secret")
        assert sent == ["secret"]
    assert (operator.newest["type"], operator.newest["status"]) == ("send_password", "completed")
    assert operator.newest["payload"] is None
