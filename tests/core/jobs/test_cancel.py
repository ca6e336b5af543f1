"""Cancel: immediate in the record, honest about the process."""

import uuid
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.clock import Clock
from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.errors import Conflict, Invalid, NotFound
from webapp.core.jobs import CancelOutcome, JobConflict
from webapp.core.models import AuditEntry, CancelProgress, JobRun

pytestmark = pytest.mark.usefixtures("core")


def events_of(job: JobRun) -> list[tuple[str, str]]:
    """What happened to the job and by whom, after its beginnings."""
    return [
        (event.kind.value, event.by)
        for event in jobs.list_events(job)
        if event.kind != "enqueued" and event.to_status != "running"
    ]


def refused(job: JobRun, **report: Any) -> str:
    with pytest.raises(JobConflict) as caught:
        jobs.update_job_status(job.id, by=RUNNER, **report)
    assert caught.value.job.status == "canceled"
    return caught.value.code


def cancels(job_id: uuid.UUID) -> list[AuditEntry]:
    query = sa.select(AuditEntry).where(AuditEntry.action == "job.canceled", AuditEntry.resource == f"job:{job_id}")
    return list(db.session.scalars(query))


@pytest.mark.parametrize("state", ["pending", "running"])
def test_cancel_is_immediate_in_the_record_and_claims_nothing_of_the_process(
    state: str, cast: Cast, clock: Clock
) -> None:
    job = job_in(state, cast.acme)
    at = clock.advance(seconds=4)
    after = jobs.cancel_job(job.id, within=cast.acme.id, by=OPERATOR)
    assert (after.status, after.canceled_at, after.canceled_by) == ("canceled", at, OPERATOR.ref)
    assert (after.completed_at, after.cancel_seen_at, after.cancel_confirmed_at) == (None, None, None)
    assert after.cancel_progress is CancelProgress.NOT_SEEN
    assert events_of(job) == [("moved", OPERATOR.ref)]
    assert (jobs.list_events(job)[-1].from_status, jobs.list_events(job)[-1].to_status) == (state, "canceled")


def test_canceling_again_changes_nothing_and_is_no_error(cast: Cast, clock: Clock) -> None:
    job = job_in("running", cast.acme)
    first = jobs.cancel_job(job.id, by=OPERATOR)
    at, version = first.canceled_at, first.version
    clock.advance(seconds=4)
    again = jobs.cancel_job(job.id, by=Actor("user:somebody else"))
    assert (again.canceled_at, again.canceled_by, again.version) == (at, OPERATOR.ref, version)
    assert len(events_of(job)) == len(cancels(job.id)) == 1


@pytest.mark.parametrize("state", ["completed", "failed", "timed_out", "lost"])
def test_a_finished_job_cannot_be_canceled_and_says_how_it_stands(state: str, cast: Cast) -> None:
    job = job_in(state, cast.acme)
    status, version = job.status, job.version
    with pytest.raises(JobConflict) as caught:
        jobs.cancel_job(job.id, by=OPERATOR)
    assert caught.value.code == "job_finished"
    assert (caught.value.job.status, caught.value.job.version) == (status, version)
    assert cancels(job.id) == []


def test_every_cancel_is_one_line_of_the_audit_log(cast: Cast) -> None:
    job = job_in("running", cast.acme)
    jobs.cancel_job(job.id, by=Actor(cast.ben.ref, "203.0.113.7"))
    (entry,) = cancels(job.id)
    assert (entry.actor, entry.address, entry.workspace_id) == (cast.ben.ref, "203.0.113.7", cast.acme.id)


@pytest.mark.parametrize("state", ["pending", "running", "canceled", "completed"])
def test_a_job_of_another_workspace_is_not_found_and_not_touched(state: str, cast: Cast) -> None:
    job = job_in(state, cast.acme)
    version = job.version
    with pytest.raises(NotFound) as caught:
        jobs.cancel_job(job.id, within=cast.other.id, by=OPERATOR)
    with pytest.raises(NotFound) as unknown:
        jobs.cancel_job(uuid.uuid4(), within=cast.other.id, by=OPERATOR)
    assert str(caught.value) == str(unknown.value)
    assert jobs.get_job_status(job.id).version == version


@pytest.mark.parametrize("report", [{}, {"progress": 5}, {"status": "running"}, {"status": "canceled", "progress": 5}])
def test_the_runner_hears_of_the_cancel_by_its_next_report_and_that_is_noted_once(
    report: dict[str, Any], cast: Cast, clock: Clock
) -> None:
    job = job_in("canceled", cast.acme)
    progress = job.progress
    seen_at = clock.advance(seconds=7)
    assert refused(job, **report) == "job_canceled"
    clock.advance(seconds=7)
    assert refused(job, **report) == "job_canceled"
    after = jobs.get_job_status(job.id)
    assert (after.cancel_seen_at, after.cancel_confirmed_at, after.progress) == (seen_at, None, progress)
    assert after.cancel_progress is CancelProgress.SEEN
    assert events_of(job) == [("moved", OPERATOR.ref), ("cancel_seen", RUNNER.ref)]


def test_a_report_with_a_fault_is_no_hearing_of_the_cancel(cast: Cast) -> None:
    job = job_in("canceled", cast.acme)
    with pytest.raises(Invalid):
        jobs.update_job_status(job.id, progress=101)
    assert jobs.get_job_status(job.id).cancel_seen_at is None


def test_the_runner_confirms_that_it_stopped_once(cast: Cast, clock: Clock) -> None:
    job = job_in("canceled", cast.acme)
    seen_at = clock.advance(seconds=7)
    refused(job, progress=6)
    stopped = clock.advance(seconds=7)
    jobs.update_job_status(job.id, status="canceled", message="rolled back", by=RUNNER)
    clock.advance(seconds=7)
    after = jobs.update_job_status(job.id, status="canceled", message="again", by=RUNNER)
    assert (after.cancel_seen_at, after.cancel_confirmed_at, after.message) == (seen_at, stopped, "rolled back")
    assert after.canceled_by == OPERATOR.ref
    assert after.cancel_progress is CancelProgress.STOPPED
    assert events_of(job) == [("moved", OPERATOR.ref), ("cancel_seen", RUNNER.ref), ("cancel_confirmed", RUNNER.ref)]


def test_a_runner_that_polls_confirms_without_ever_having_been_refused(cast: Cast, clock: Clock) -> None:
    job = job_in("canceled", cast.acme)
    at = clock.advance(seconds=7)
    after = jobs.update_job_status(job.id, status="canceled", by=RUNNER)
    assert (after.cancel_seen_at, after.cancel_confirmed_at) == (at, at)
    assert events_of(job) == [("moved", OPERATOR.ref), ("cancel_confirmed", RUNNER.ref)]


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_runner_that_finished_anyway_is_refused_and_remembered_once(status: str, cast: Cast, clock: Clock) -> None:
    job = job_in("canceled", cast.acme)
    at = clock.advance(seconds=7)
    assert refused(job, status=status, message="all done") == "job_canceled"
    other = "failed" if status == "completed" else "completed"
    assert refused(job, status=other) == "job_canceled"
    after = jobs.get_job_status(job.id)
    assert (after.finish_refused, after.cancel_seen_at, after.completed_at, after.result) == (status, at, None, None)
    assert after.cancel_progress is CancelProgress.FINISHED_ANYWAY
    assert events_of(job) == [("moved", OPERATOR.ref), ("cancel_seen", RUNNER.ref), ("refused", RUNNER.ref)]
    last = jobs.list_events(job)[-1]
    assert (last.to_status, last.message) == (status, "all done")


@pytest.mark.parametrize("state", ["pending", "running", "lost"])
def test_a_runner_that_stops_by_itself_leaves_one_move_and_nothing_open(state: str, cast: Cast, clock: Clock) -> None:
    job = job_in(state, cast.acme)
    before = len(events_of(job))
    at = clock.advance(seconds=2)
    after = jobs.update_job_status(job.id, status="canceled", message="no longer wanted", by=RUNNER)
    assert (after.canceled_at, after.cancel_seen_at, after.cancel_confirmed_at) == (at, at, at)
    assert (after.canceled_by, after.completed_at, after.message) == (RUNNER.ref, None, "no longer wanted")
    assert events_of(job)[before:] == [("moved", RUNNER.ref)]


def test_a_canceled_job_is_no_longer_watched_by_the_board(cast: Cast) -> None:
    job = job_in("running", cast.acme)
    assert job.check_at is not None
    assert jobs.cancel_job(job.id).check_at is None


# --- several at once, and clocks that disagree -------------------------------------------------------------------


def test_several_jobs_are_canceled_each_by_itself_and_the_outcome_tells_of_each(cast: Cast) -> None:
    states = ("pending", "running", "completed", "failed", "canceled", "lost")
    ids = [job_in(state, cast.acme).id for state in states]
    elsewhere = job_in("running", cast.other).id
    outcomes = jobs.cancel_jobs(cast.acme.id, [*ids, ids[0], elsewhere], by=OPERATOR)
    assert Counter(outcomes.values()) == {
        CancelOutcome.CANCELED: 2,
        CancelOutcome.FINISHED: 3,
        CancelOutcome.ALREADY_CANCELED: 1,
        CancelOutcome.NOT_FOUND: 1,
    }
    assert jobs.get_job_status(elsewhere).status == "running"


def test_the_story_never_runs_backwards_though_clocks_disagree(cast: Cast, clock: Clock) -> None:
    job_id = jobs.enqueue_job("report", cast.acme.id, by=RUNNER)
    said: list[tuple[str, float]] = [("running", 3), ("cancel", -2), ("progress", -2), ("canceled", -2)]
    for word, seconds in said:
        clock.advance(seconds=seconds)
        if word == "cancel":
            jobs.cancel_job(job_id, by=OPERATOR)
        elif word == "progress":
            with pytest.raises(Conflict):
                jobs.update_job_status(job_id, progress=5, by=RUNNER)
        else:
            jobs.update_job_status(job_id, status=word, by=RUNNER)
    job = jobs.get_job_status(job_id)
    moments = [
        job.created_at,
        job.started_at,
        job.canceled_at,
        job.cancel_seen_at,
        job.cancel_confirmed_at,
        job.updated_at,
    ]
    assert moments == sorted(filter(None, moments))
    events = [event.at for event in jobs.list_events(job)]
    assert events == sorted(events)
