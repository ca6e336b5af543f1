"""Two writers meet: the database decides, one wins, and the loser is told the truth."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from tests.conftest import OPERATOR, RUNNER, Cast, job_in
from webapp.core import jobs
from webapp.core.errors import Refused
from webapp.core.lifecycle import FINAL, FailureReason
from webapp.core.models import JobRun

ROUNDS = 200


def at_once(app: Flask, *acts: Callable[[], JobRun]) -> list[JobRun | Refused]:
    """What each act came to, all begun at the same moment, each in a thread and a context of its own."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], JobRun]) -> JobRun | Refused:
        with app.app_context():
            ready.wait(timeout=10)
            try:
                return act()
            except Refused as refused:
                return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def final_moves(job: JobRun) -> list[str | None]:
    return [event.to_status for event in jobs.history(job) if event.kind == "moved" and event.to_status in FINAL]


def test_a_cancel_against_a_completion_has_one_winner_and_the_loser_hears_the_truth(core: Flask, cast: Cast) -> None:
    won = {"canceled": 0, "completed": 0}
    for _ in range(ROUNDS):
        job = job_in("running", cast.acme)
        job_id = job.id
        cancel, complete = at_once(
            core,
            lambda job_id=job_id: jobs.cancel_job(job_id, by=OPERATOR),  # type: ignore[misc]
            lambda job_id=job_id: jobs.update_job_status(job_id, status="completed", by=RUNNER),  # type: ignore[misc]
        )
        after = jobs.get_job_status(job_id)
        won[after.status.value] += 1
        assert final_moves(after) == [after.status]
        if after.status == "canceled":
            winner, loser, code = cancel, complete, "job_canceled"
            assert (after.completed_at, after.progress, after.finish_refused) == (None, 0, "completed")
        else:
            winner, loser, code = complete, cancel, "job_finished"
            assert (after.canceled_at, after.canceled_by, after.progress) == (None, None, 100)
        assert isinstance(winner, JobRun)
        assert isinstance(loser, Refused)
        assert loser.code == code
        assert loser.job is not None
        assert (winner.status, loser.job.status) == (after.status, after.status)
    assert sum(won.values()) == ROUNDS


def test_many_workers_that_start_one_job_start_it_once(core: Flask, cast: Cast) -> None:
    for _ in range(10):
        job_id = job_in("pending", cast.acme).id
        outcomes = at_once(core, *[lambda: jobs.update_job_status(job_id, status="running")] * 6)  # noqa: B023
        assert all(isinstance(outcome, JobRun) for outcome in outcomes)
        started = {outcome.started_at for outcome in outcomes if isinstance(outcome, JobRun)}
        assert len(started) == 1
        job = jobs.get_job_status(job_id)
        assert [event.to_status for event in jobs.history(job)] == ["pending", "running"]


def test_many_cancels_at_once_are_one_cancel(core: Flask, cast: Cast) -> None:
    job_id = job_in("running", cast.acme).id
    outcomes = at_once(core, *[lambda: jobs.cancel_job(job_id, by=OPERATOR)] * 8)
    assert all(isinstance(outcome, JobRun) and outcome.status == "canceled" for outcome in outcomes)
    assert final_moves(jobs.get_job_status(job_id)) == ["canceled"]


def test_many_confirmations_of_a_lost_runner_revive_it_once(core: Flask, cast: Cast) -> None:
    job_id = job_in("lost", cast.acme).id
    outcomes = at_once(core, *[lambda: jobs.update_job_status(job_id, progress=50)] * 6)
    assert all(isinstance(outcome, JobRun) and outcome.status == "running" for outcome in outcomes)
    revived = [event for event in jobs.history(jobs.get_job_status(job_id)) if event.from_status == "failed"]
    assert [event.to_status for event in revived] == ["running"]


def test_a_job_that_spoke_just_before_it_was_judged_is_not_failed(core: Flask, cast: Cast) -> None:
    job_id = job_in("running", cast.acme).id
    with core.app_context():
        read = jobs.get_job_status(job_id)
    jobs.update_job_status(job_id, progress=10)
    assert not jobs.fail_overdue(read, FailureReason.LOST, "silent")
    assert jobs.get_job_status(job_id).status == "running"


def test_a_job_that_ended_just_before_it_was_judged_keeps_its_end(core: Flask, cast: Cast) -> None:
    for reason in (FailureReason.LOST, FailureReason.TIMED_OUT):
        job_id = job_in("running", cast.acme).id
        with core.app_context():
            read = jobs.get_job_status(job_id)
        jobs.update_job_status(job_id, status="completed")
        assert not jobs.fail_overdue(read, reason, "too late")
        assert final_moves(jobs.get_job_status(job_id)) == ["completed"]


def test_many_progress_reports_at_once_are_all_counted(core: Flask, cast: Cast) -> None:
    job = job_in("running", cast.acme)
    version = job.version
    at_once(core, *[lambda: jobs.update_job_status(job.id, progress=1)] * 10)
    assert jobs.get_job_status(job.id).version == version + 10
