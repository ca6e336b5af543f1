"""What every adapter of a queue engine promises. An engine is described in ``tests/support/engines``."""

import time

import pytest
from flask import Flask

from tests.support.clock import Clock
from tests.support.engines import work
from tests.support.engines.apscheduler import ApschedulerProcesses, ApschedulerThreads
from tests.support.engines.celery import Celery
from tests.support.engines.dramatiq import Dramatiq
from tests.support.engines.engine import Ability, Engine
from tests.support.engines.futures import FuturesFork, FuturesSpawn, FuturesThreads
from tests.support.engines.huey import Huey
from tests.support.engines.procrastinate import Procrastinate
from tests.support.engines.rq import Rq
from tests.support.operator import Operator, wait_until_lost
from tests.support.servers import Outage
from tests.support.waiting import wait_until

ENGINES: tuple[type[Engine], ...] = (
    Celery,
    Rq,
    Dramatiq,
    Huey,
    Procrastinate,
    ApschedulerThreads,
    FuturesThreads,
)
OTHER_POOLS: tuple[type[Engine], ...] = (ApschedulerProcesses, FuturesFork, FuturesSpawn)
"""The same engines with processes, where that may make a difference."""


def with_every_engine(*, needs: Ability | None = None, other_pools: bool = False) -> pytest.MarkDecorator:
    """Run a test with every engine that has an ability. The others are skipped, for the reason that they give."""

    def list_marks(engine: type[Engine]) -> list[pytest.MarkDecorator]:
        reason = engine.lacks.get(needs) if needs else None
        return [pytest.mark.skip(reason=reason)] if reason else []

    engines = (*ENGINES, *OTHER_POOLS) if other_pools else ENGINES
    return pytest.mark.parametrize(
        "engine_class", [pytest.param(engine, id=engine.__name__, marks=list_marks(engine)) for engine in engines]
    )


def go_on() -> None:
    """Let the tasks that wait for the test complete."""
    work.path_of("go").touch()


# --- from its enqueueing to its end ------------------------------------------------------------------------------


@with_every_engine(other_pools=True)
def test_a_task_is_one_job_from_its_enqueueing_to_its_end(engine: Engine, operator: Operator) -> None:
    engine.enqueue("generate_report", "2026-10", pages=10)
    if engine.has(Ability.QUEUE):
        operator.wait_for_newest(status="pending")
    engine.start_worker()
    job = operator.wait_for_newest(progress=40)
    assert (job["status"], job["message"]) == ("running", "page 4 of 10")
    assert (job["type"], job["tags"]) == (engine.job_type("generate_report"), ["monthly"])
    assert job["payload"] == engine.payload("generate_report", "2026-10", pages=10)
    assert operator.log(job["id"]) == ["the report of 2026-10", "has 10 pages"]
    go_on()
    assert operator.wait_for_newest(status="completed")["result"] == {"pages": 10}
    assert operator.history(job["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


@with_every_engine(other_pools=True)
def test_a_task_that_fails_is_a_failed_job_with_its_traceback(engine: Engine, operator: Operator) -> None:
    engine.start_worker()
    engine.enqueue("fail")
    job = operator.wait_for_newest(status="failed")
    assert job["error"].rstrip().endswith("ValueError: no such month")
    assert ", in fail\n" in job["error"]
    assert operator.history(job["id"]) == ["pending", "running", "failed"]
    # What is tried again has failed when its attempts are used up.
    engine.enqueue("import_rows", 9)
    job = operator.wait_for_newest(status="failed", type=engine.job_type("import_rows"))
    assert job["error"].rstrip().endswith("ValueError: no rows yet")
    assert job["message"] == ("attempt 3 of 3" if engine.has(Ability.RETRY) else None)
    assert work.count_notes("tried") == (3 if engine.has(Ability.RETRY) else 1)
    assert operator.history(job["id"]) == ["pending", "running", "failed"]


@with_every_engine(needs=Ability.RETRY)
def test_a_retry_is_a_message_of_the_same_job(engine: Engine, operator: Operator) -> None:
    engine.enqueue("import_rows_slowly", 1)
    engine.start_worker()
    operator.wait_for_newest(message="attempt 1 of 3 failed: ValueError: no rows yet")
    operator.wait_for_newest(message="attempt 2 of 3")
    go_on()
    job = operator.wait_for_newest(status="completed")
    assert (job["message"], job["result"]) == ("attempt 2 of 3", {"value": 3})
    assert operator.history(job["id"]) == ["pending", "running", "completed"]
    assert len(operator.jobs) == 1


@with_every_engine()
@pytest.mark.parametrize("options", [{"payload": False}], ids=["payload=False"])
def test_arguments_that_are_secret_may_be_left_out(engine: Engine, operator: Operator) -> None:
    engine.enqueue("generate_report", "secret")
    if not engine.has(Ability.QUEUE):
        engine.start_worker()
    job = operator.wait_for_newest(type=engine.job_type("generate_report"))
    assert (job["status"], job["payload"]) == ("pending" if engine.has(Ability.QUEUE) else "running", None)
    go_on()


# --- cancels -----------------------------------------------------------------------------------------------------


@with_every_engine(other_pools=True)
def test_a_cancel_stops_a_task_that_reports(engine: Engine, operator: Operator) -> None:
    task = engine.enqueue("endless")
    engine.start_worker()
    running = operator.wait_for_newest(progress=50)
    operator.cancel(running["id"])
    job = operator.wait_for_confirmed_cancel(running["id"])
    assert job["status"] == "canceled"
    assert "was canceled" not in (job["message"] or "")
    wait_until(lambda: engine.get_state(task) == engine.canceled_state)
    # A task of later is through: what was canceled was not tried again, nor did it fail.
    engine.enqueue("note", "later")
    operator.wait_for_newest(status="completed")
    assert (work.count_notes("began"), work.count_notes("ended"), work.count_notes("failed")) == (1, 1, 0)
    assert operator.job(running["id"])["status"] == "canceled"


@with_every_engine(needs=Ability.INTERRUPT)
def test_a_cancel_stops_a_task_that_never_reports(engine: Engine, operator: Operator) -> None:
    task = engine.enqueue("silent")
    engine.start_worker()
    wait_until(lambda: work.count_notes("began"))
    running = operator.wait_for_newest(progress=50)
    operator.cancel(running["id"])
    job = operator.wait_for_confirmed_cancel(running["id"])
    assert (job["status"], job["message"]) == ("canceled", engine.interrupted_message)
    wait_until(lambda: engine.get_state(task) == engine.canceled_state)
    engine.enqueue("note", "later")
    operator.wait_for_newest(status="completed")
    assert (work.count_notes("began"), work.count_notes("failed")) == (1, 0)
    assert work.count_notes("ended") == (1 if engine.unwinds_when_interrupted else 0)
    assert operator.job(running["id"])["status"] == "canceled"


@pytest.mark.parametrize("engine_class", [engine for engine in ENGINES if Ability.INTERRUPT in engine.lacks])
def test_a_task_that_nothing_can_interrupt_finishes_anyway(engine: Engine, operator: Operator) -> None:
    engine.enqueue("silent")
    engine.start_worker()
    running = operator.wait_for_newest(progress=50)
    operator.cancel(running["id"])
    canceled = operator.job(running["id"])
    # Its runner hears of the cancel with its next sign of life.
    wait_until(lambda: operator.job(running["id"])["last_seen_at"] > canceled["last_seen_at"])
    go_on()
    wait_until(lambda: operator.history(running["id"])[-1] == "refused")
    job = operator.job(running["id"])
    assert (job["status"], job["cancel_confirmed_at"]) == ("canceled", None)
    assert (work.count_notes("began"), work.count_notes("ended")) == (1, 1)


@with_every_engine(needs=Ability.QUEUE, other_pools=True)
def test_a_task_that_was_canceled_before_its_turn_does_not_run(engine: Engine, operator: Operator) -> None:
    early = engine.enqueue("note", "canceled")
    operator.cancel(operator.wait_for_newest(status="pending")["id"])
    engine.enqueue("generate_report", "2026-10")
    engine.start_worker()
    operator.wait_for_newest(progress=40)
    # Another one waits while the worker is busy.
    late = engine.enqueue("note", "canceled")
    operator.cancel(operator.wait_for_newest(status="pending")["id"])
    go_on()
    for task, job in zip((late, early), (operator.jobs[0], operator.jobs[2]), strict=True):
        assert operator.wait_for_confirmed_cancel(job["id"])["status"] == "canceled"
        wait_until(lambda task=task: engine.get_state(task) == engine.canceled_state)  # type: ignore[misc]
    operator.wait_for_statuses("canceled", "completed", "canceled")
    assert work.count_notes("canceled") == 0


# --- what dies, and what is away ---------------------------------------------------------------------------------


@with_every_engine()
def test_a_worker_that_is_killed_has_lost_its_job(engine: Engine, operator: Operator, app: Flask, clock: Clock) -> None:
    engine.start_worker_to_kill()
    operator.wait_for_newest(progress=40)
    engine.kill_worker()
    wait_until_lost(operator, app, clock)


@with_every_engine()
def test_a_task_runs_while_the_board_is_away_and_is_reported_later(
    away: Outage, engine: Engine, operator: Operator
) -> None:
    go_on()
    begun = time.monotonic()
    task = engine.enqueue("generate_report", "2026-10", 3)
    engine.start_worker()
    engine.wait_for_result(task, {"pages": 3})
    assert time.monotonic() - begun < 30
    away.start()
    jobs = {engine.job_type("generate_report"): "completed"}
    if not engine.sends_late_reports:
        engine.enqueue("note", "next")
        jobs[engine.job_type("note")] = "completed"
    wait_until(lambda: {job["type"]: job["status"] for job in operator.jobs} == jobs, explain=lambda: operator.jobs)
    assert len(operator.jobs) == len(jobs)
    (report,) = [job for job in operator.jobs if job["type"] == engine.job_type("generate_report")]
    assert operator.job(report["id"])["result"] == {"pages": 3}


@with_every_engine(needs=Ability.PRODUCE_UNCONNECTED)
def test_a_worker_makes_the_job_of_a_producer_that_is_not_connected(engine: Engine, operator: Operator) -> None:
    go_on()
    engine.enqueue_unconnected("import_rows", 1)
    assert operator.jobs == []
    engine.start_worker()
    assert operator.wait_for_newest(status="completed")["message"] == "attempt 2 of 3"


# --- its page ----------------------------------------------------------------------------------------------------


@with_every_engine()
def test_the_example_of_its_page_runs(engine: Engine, operator: Operator) -> None:
    engine.start_example()
    count = engine.example_jobs
    wait_until(lambda: operator.statuses[-count:] == ["completed"] * count, explain=lambda: operator.jobs)
    for job in (operator.job(job["id"]) for job in operator.jobs[-count:]):
        assert (job["type"], job["result"]) == (engine.example_type, engine.example_result)
        assert job["message"] == engine.example_message
