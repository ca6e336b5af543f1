"""Two writers meet: the database decides, one wins, and the loser is told the truth."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.concurrency import at_once
from tests.support.jobs import OPERATOR, RUNNER, final_moves, job_in
from tests.support.people import Cast
from tests.support.waiting import wait_until
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.chores import liveness
from webapp.core.chores.liveness import SweepResult
from webapp.core.database.session import db
from webapp.core.jobs import JobConflict
from webapp.core.jobs.inputs import BatchedReport
from webapp.core.lifecycle import FailureReason
from webapp.core.models import JobRun, JobSnapshot, Role
from webapp.core.workspaces import members

ROUNDS = 200


def test_a_cancel_against_a_completion_has_one_winner_and_the_loser_hears_the_truth(core: Flask, cast: Cast) -> None:
    won = {"canceled": 0, "completed": 0}
    for number in range(ROUNDS):
        job_id = job_in("running", cast.acme).id
        acts = [partial(jobs.cancel_job, job_id, by=OPERATOR), partial(complete, job_id)]
        if number % 10 < 2:
            # On a busy machine the shorter of the two wins every time, unless the other may begin a little earlier.
            acts[number % 2] = partial(begin_late, acts[number % 2])
        # Whoever comes second in the list is the last at the barrier and tends to be the first off it.
        order = 1 if number % 2 else -1
        cancel, completion = at_once(core, *acts[::order])[::order]
        after = jobs.get_job_status(job_id)
        won[after.status.value] += 1
        assert final_moves(after) == [after.status]
        if after.status == "canceled":
            winner, loser, code = cancel, completion, "job_canceled"
            assert (after.completed_at, after.progress, after.finish_refused) == (None, 0, "completed")
        else:
            winner, loser, code = completion, cancel, "job_finished"
            assert (after.canceled_at, after.canceled_by, after.progress) == (None, None, 100)
        assert isinstance(winner, JobRun)
        assert isinstance(loser, JobConflict)
        assert loser.code == code
        assert (winner.status, loser.job.status) == (after.status, after.status)
    assert min(won.values()) >= 1, won


def begin_late(act: Callable[[], JobRun]) -> JobRun:
    time.sleep(0.01)
    return act()


def complete(job_id: uuid.UUID) -> JobRun:
    return jobs.update_job_status(job_id, status="completed", by=RUNNER)


def test_many_workers_that_start_one_job_start_it_once(core: Flask, cast: Cast) -> None:
    for _ in range(10):
        job_id = job_in("pending", cast.acme).id
        outcomes = at_once(core, *[lambda: jobs.update_job_status(job_id, status="running")] * 6)  # noqa: B023
        assert all(isinstance(outcome, JobRun) for outcome in outcomes)
        started = {outcome.started_at for outcome in outcomes if isinstance(outcome, JobRun)}
        assert len(started) == 1
        job = jobs.get_job_status(job_id)
        assert [event.to_status for event in jobs.list_events(job)] == ["pending", "running"]


def test_many_cancels_at_once_are_one_cancel(core: Flask, cast: Cast) -> None:
    job_id = job_in("running", cast.acme).id
    outcomes = at_once(core, *[lambda: jobs.cancel_job(job_id, by=OPERATOR)] * 8)
    assert all(isinstance(outcome, JobRun) and outcome.status == "canceled" for outcome in outcomes)
    assert final_moves(jobs.get_job_status(job_id)) == ["canceled"]


def test_many_confirmations_of_a_lost_runner_revive_it_once(core: Flask, cast: Cast) -> None:
    job_id = job_in("lost", cast.acme).id
    outcomes = at_once(core, *[lambda: jobs.update_job_status(job_id, progress=50)] * 6)
    assert all(isinstance(outcome, JobRun) and outcome.status == "running" for outcome in outcomes)
    revived = [event for event in jobs.list_events(jobs.get_job_status(job_id)) if event.from_status == "failed"]
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


def test_batches_at_once_over_the_same_jobs_lose_no_report(core: Flask, cast: Cast) -> None:
    versions = {job.id: job.version for job in (job_in("running", cast.acme) for _ in range(20))}
    reports = [BatchedReport.parse({"id": str(job_id), "progress": 1}) for job_id in versions]
    for _ in range(10):
        orders = [reports, reports[::-1], reports[10:] + reports[:10]]
        acts = [partial(jobs.apply_reports, cast.acme.id, order, by=RUNNER) for order in orders]
        for answers in at_once(core, *acts):
            assert isinstance(answers, list)
            assert all(isinstance(answer, JobSnapshot) for answer in answers)
    for job_id, version in versions.items():
        assert jobs.get_job_status(job_id).version == version + 30


@pytest.mark.parametrize("engine_name", ["postgresql"])
def test_a_batch_that_waits_for_its_first_job_holds_no_other_so_none_deadlocks(core: Flask, cast: Cast) -> None:
    made = sorted(job_in("running", cast.acme).id for _ in range(12))
    reports = [BatchedReport.parse({"id": str(job_id), "progress": 1}) for job_id in reversed(made)]
    lock = sa.text("SELECT id FROM job_runs WHERE id = ANY(:ids) FOR UPDATE NOWAIT")
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    transacting = db.engine.execution_options(isolation_level="READ COMMITTED")
    with ThreadPoolExecutor(1) as pool, transacting.connect() as holder, transacting.connect() as other:
        holder.execute(lock, {"ids": made[:1]})
        batch = pool.submit(at_once, core, partial(jobs.apply_reports, cast.acme.id, reports, by=RUNNER))
        wait_until(lambda: other.scalar(waiting), seconds=10)
        other.execute(lock, {"ids": made[1:]})
        other.rollback()
        holder.rollback()
        [answers] = batch.result(timeout=10)
    assert isinstance(answers, list)
    assert len(answers) == len(made)


def test_two_sweepers_at_once_fail_each_job_once(core: Flask, cast: Cast, clock: Clock) -> None:
    for _ in range(5):
        made = [job_in("running", cast.acme).id for _ in range(6)]
        for _ in range(40):
            clock.advance(seconds=2)
            liveness.record_server_heartbeat()
        swept = at_once(core, liveness.sweep, liveness.sweep)
        assert sum(each.lost for each in swept if isinstance(each, SweepResult)) == 6
        for job_id in made:
            assert final_moves(jobs.get_job_status(job_id)) == ["failed"]


def test_two_transfers_at_once_leave_one_owner(core: Flask, cast: Cast) -> None:
    members.add_unchecked(cast.acme, cast.cleo, Role.MEMBER, by=SYSTEM)
    for _ in range(20):
        at_once(core, *[partial(members.transfer_unchecked, cast.acme, to, by=SYSTEM) for to in (cast.ben, cast.cleo)])
        owners = [member.user.name for member in members.list_members(cast.acme.id) if member.role is Role.OWNER]
        assert len(owners) == 1
        assert owners[0] in ("Ben", "Cleo")
        members.transfer_unchecked(cast.acme, cast.ada, by=SYSTEM)
