"""What a runner's report does to a job: the PATCH table, pair by pair, on both engines."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask

from tests.support.clock import Clock
from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.people import Cast
from tests.support.transitions import CANCELED, ILLEGAL, NEWS, PAIRS, STATUSES, TIMED_OUT
from webapp.core import jobs
from webapp.core.errors import Conflict
from webapp.core.jobs import JobConflict
from webapp.core.jobs.inputs import BatchedReport
from webapp.core.lifecycle import FailureReason
from webapp.core.models import JobRun

pytestmark = pytest.mark.usefixtures("core")


def moves(job: JobRun) -> list[tuple[str | None, str | None]]:
    return [(event.from_status, event.to_status) for event in jobs.list_events(job) if event.kind == "moved"]


def kinds(job: JobRun) -> list[str]:
    return [event.kind.value for event in jobs.list_events(job)]


def stored(job: JobRun) -> dict[str, Any]:
    """The row, without what a mere word of the runner may touch."""
    fresh = jobs.get_job_status(job.id)
    return {
        column: getattr(fresh, column)
        for column in JobRun.__table__.columns.keys()  # noqa: SIM118 — iterating gives columns, not names
        if column != "last_seen_at"
    }


def refusal(job: JobRun, **report: Any) -> Conflict:
    with pytest.raises(Conflict) as caught:
        jobs.update_job_status(job.id, by=RUNNER, **report)
    return caught.value


@pytest.mark.parametrize(("state", "status", "expected"), PAIRS)
def test_every_pair_of_job_and_report_has_the_promised_answer(
    state: str, status: str | None, expected: str, cast: Cast, clock: Clock
) -> None:
    job = job_in(state, cast.acme)
    before, happened, moved = stored(job), jobs.list_events(job), moves(job)
    at = clock.advance(seconds=5)
    if expected in STATUSES:
        after = jobs.update_job_status(job.id, status=status, by=RUNNER)
        assert after.status == expected
        assert stored(job)["status"] == expected
    else:
        refused = refusal(job, status=status)
        assert refused.code == expected
        assert isinstance(refused, JobConflict)
        assert refused.job.status == before["status"]
        assert stored(job)["status"] == before["status"]
        if state != "canceled":
            assert stored(job) == before
    steps = moves(job)[len(moved) :]
    path = [before["status"].value, *(["running"] if state == "lost" and expected in STATUSES else []), expected]
    promised = [pair for pair in pairwise(path) if pair[0] != pair[1] and expected in STATUSES]
    assert steps == promised
    after_all = jobs.list_events(job)
    assert [event.id for event in after_all[: len(happened)]] == [event.id for event in happened]
    since = after_all[len(happened) :]
    assert [event.kind.value for event in since] == NEWS.get((state, status), ["moved"] * len(promised))
    assert all((event.at, event.by) == (at, RUNNER.ref) for event in since)


@pytest.mark.parametrize(
    "report",
    [{"progress": 10}, {"result": {}}, {"status": "pending", "progress": 0}, {"status": "pending", "result": {"a": 1}}],
)
def test_a_pending_job_has_no_progress_and_no_result(report: dict[str, Any], cast: Cast) -> None:
    job = job_in("pending", cast.acme)
    before = stored(job)
    assert refusal(job, **report).code == ILLEGAL
    assert stored(job) == before


def test_a_pending_job_may_say_where_it_waits(cast: Cast) -> None:
    job = job_in("pending", cast.acme)
    jobs.update_job_status(job.id, message="third in line", link="https://queue.example.com/3", runner="w1")
    jobs.update_job_status(job.id, status="pending", message="second in line")
    after = jobs.get_job_status(job.id)
    assert (after.message, after.link, after.runner) == ("second in line", "https://queue.example.com/3", "w1")
    assert after.started_at is None
    assert moves(job) == []


def test_a_job_may_start_with_progress_message_and_result(cast: Cast, clock: Clock) -> None:
    job = job_in("pending", cast.acme)
    started = clock.advance(seconds=3)
    jobs.update_job_status(job.id, status="running", progress=7, message="on it", result={"rows": 1})
    after = jobs.get_job_status(job.id)
    assert (after.progress, after.message, after.result) == (7, "on it", {"rows": 1})
    assert after.started_at == started
    assert after.last_seen_at == started


def test_a_running_job_keeps_what_was_sent_and_nothing_else_changes(cast: Cast, clock: Clock) -> None:
    job = job_in("running", cast.acme)
    jobs.update_job_status(job.id, progress=40, message="half", result={"so": "far"})
    clock.advance(seconds=1)
    jobs.update_job_status(job.id, progress=0)
    after = jobs.get_job_status(job.id)
    assert (after.progress, after.message, after.result) == (0, "half", {"so": "far"})
    assert moves(job) == [("pending", "running")]


def test_a_heartbeat_says_only_that_the_runner_lives(cast: Cast, clock: Clock) -> None:
    job = job_in("running", cast.acme)
    before = stored(job)
    at = clock.advance(seconds=9)
    assert jobs.update_job_status(job.id).last_seen_at == at
    assert stored(job) == before | {"updated_at": at, "version": before["version"] + 1}


def test_completing_sets_progress_to_100_and_keeps_the_result_so_far(cast: Cast, clock: Clock) -> None:
    job = job_in("running", cast.acme)
    jobs.update_job_status(job.id, progress=40, result={"rows": 1})
    at = clock.advance(seconds=1)
    after = jobs.update_job_status(job.id, status="completed")
    assert (after.progress, after.result, after.completed_at) == (100, {"rows": 1}, at)
    assert after.canceled_at is None


def test_a_runner_that_completes_with_its_own_progress_is_believed(cast: Cast) -> None:
    job = job_in("running", cast.acme)
    after = jobs.update_job_status(job.id, status="completed", progress=93, result={"rows": 9})
    assert (after.progress, after.result) == (93, {"rows": 9})


@pytest.mark.parametrize("state", ["pending", "running"])
@pytest.mark.parametrize("error", [None, "the disk is full"])
def test_a_failure_is_kept_with_or_without_its_error(state: str, error: str | None, cast: Cast, clock: Clock) -> None:
    job = job_in(state, cast.acme)
    started_at = job.started_at
    at = clock.advance(seconds=1)
    after = jobs.update_job_status(job.id, status="failed", error=error)
    assert (after.error, after.failure_reason, after.completed_at) == (error, "error", at)
    assert after.started_at == started_at
    assert after.progress == 0


def test_an_unchanged_final_report_may_be_repeated_and_changes_nothing(cast: Cast, clock: Clock) -> None:
    done, failed = job_in("running", cast.acme), job_in("running", cast.acme)
    completed: dict[str, Any] = {
        "status": "completed",
        "progress": 90,
        "result": {"a": 1, "b": True, "c": [2.5, 2**60]},
        "message": "done",
    }
    long_error: dict[str, Any] = {"status": "failed", "error": "x" * 100_000}
    jobs.update_job_status(done.id, **completed)
    jobs.update_job_status(failed.id, **long_error)
    before = stored(done), stored(failed)
    clock.advance(seconds=30)
    jobs.update_job_status(done.id, **completed | {"result": {"b": True, "c": [2.50, 2**60], "a": 1.0}})
    jobs.update_job_status(done.id, status="completed", message="done")
    jobs.update_job_status(failed.id, **long_error)
    jobs.update_job_status(failed.id)
    assert (stored(done), stored(failed)) == before
    assert moves(done) == [("pending", "running"), ("running", "completed")]


def test_a_repeat_may_write_the_same_numbers_another_way(cast: Cast, clock: Clock) -> None:
    job = job_in("running", cast.acme)
    numbers = {"whole": 1, "pieces": [2.0, {"large": 1e15, "none": 0, "half": 0.5}]}
    jobs.update_job_status(job.id, status="completed", progress=90, result=numbers)
    before = stored(job)
    again = {"whole": 1.0, "pieces": [2, {"large": 10**15, "none": -0.0, "half": 0.5}]}
    jobs.update_job_status(job.id, status="completed", progress=90.0, result=again)  # type: ignore[arg-type]
    assert stored(job) == before
    for other in (numbers | {"whole": True}, numbers | {"pieces": [2, {"large": 10**15, "none": False, "half": 0.5}]}):
        assert refusal(job, status="completed", result=other).code == ILLEGAL


@pytest.mark.parametrize(
    "report",
    [
        {"status": "completed", "result": {"a": 2}},
        {"status": "completed", "result": {"a": True}},
        {"status": "completed", "result": {"a": "1"}},
        {"status": "completed", "progress": 99},
        {"status": "completed", "message": "else"},
        {"progress": 100},
        {"message": "still here"},
    ],
)
def test_a_contradicting_report_on_a_finished_job_is_refused(report: dict[str, Any], cast: Cast) -> None:
    job = job_in("running", cast.acme)
    jobs.update_job_status(job.id, status="completed", result={"a": 1}, message="done")
    before = stored(job)
    assert refusal(job, **report).code == ILLEGAL
    assert stored(job) == before


def test_a_lost_job_whose_runner_speaks_again_runs_on(cast: Cast, clock: Clock) -> None:
    job = job_in("lost", cast.acme)
    assert job.failure_reason == "lost"
    started_at = job.started_at
    at = clock.advance(minutes=5)
    after = jobs.update_job_status(job.id, progress=60, by=RUNNER)
    assert (after.status, after.progress, after.started_at, after.last_seen_at) == ("running", 60, started_at, at)
    assert (after.completed_at, after.failure_reason, after.error) == (None, None, None)
    assert moves(job) == [("pending", "running"), ("running", "failed"), ("failed", "running")]


def test_a_lost_job_that_completes_has_first_run_on(cast: Cast, clock: Clock) -> None:
    job = job_in("lost", cast.acme)
    at = clock.advance(minutes=5)
    after = jobs.update_job_status(job.id, status="completed", result={"rows": 3}, by=RUNNER)
    assert (after.status, after.completed_at, after.progress, after.result) == ("completed", at, 100, {"rows": 3})
    assert (after.failure_reason, after.error) == (None, None)
    assert moves(job)[2:] == [("failed", "running"), ("running", "completed")]


def test_a_lost_job_that_then_fails_failed_for_its_own_reason(cast: Cast) -> None:
    job = job_in("lost", cast.acme)
    after = jobs.update_job_status(job.id, status="failed", error="out of memory")
    assert (after.failure_reason, after.error) == ("error", "out of memory")
    assert refusal(job, status="running").code == ILLEGAL


@pytest.mark.parametrize("report", [{"status": "pending"}, {"status": "pending", "message": "waiting"}])
def test_pending_does_not_revive_a_lost_job(report: dict[str, Any], cast: Cast) -> None:
    job = job_in("lost", cast.acme)
    before = stored(job)
    assert refusal(job, **report).code == ILLEGAL
    assert stored(job) == before


def test_a_job_that_ran_too_long_stays_failed_whatever_its_runner_sends(cast: Cast) -> None:
    job = job_in("timed_out", cast.acme)
    before = stored(job)
    reports: list[dict[str, Any]] = [{"progress": 5}, {"message": "nearly"}, {"status": "failed", "error": "x"}]
    for report in [*reports, {"result": {}}]:
        assert refusal(job, **report).code == TIMED_OUT
    assert stored(job) == before


def test_started_at_is_set_once_and_never_again(cast: Cast, clock: Clock) -> None:
    job = job_in("running", cast.acme)
    started_at = job.started_at
    for status in ("running", "running", None, "completed"):
        at = clock.advance(minutes=1)
        occurred = at - timedelta(seconds=40)
        assert jobs.update_job_status(job.id, status=status, occurred_at=occurred).started_at == started_at


def test_occurred_at_is_the_time_of_a_move_reported_late(cast: Cast, clock: Clock) -> None:
    job = job_in("pending", cast.acme)
    start, end = clock.advance(minutes=1), clock.advance(minutes=10)
    clock.advance(hours=1)
    assert jobs.update_job_status(job.id, status="running", occurred_at=start).started_at == start
    after = jobs.update_job_status(job.id, status="completed", occurred_at=end)
    assert after.completed_at == end
    assert after.duration == timedelta(minutes=10)
    assert [event.at for event in jobs.list_events(job) if event.kind == "moved"] == [start, end]


@pytest.mark.parametrize("status", ["running", "failed"])
def test_occurred_at_is_brought_between_the_jobs_creation_and_now(status: str, cast: Cast, clock: Clock) -> None:
    early, late = job_in("pending", cast.acme), job_in("pending", cast.acme)
    created_at = early.created_at
    now = clock.advance(minutes=1)
    column = "started_at" if status == "running" else "completed_at"
    jobs.update_job_status(early.id, status=status, occurred_at=created_at - timedelta(days=1))
    jobs.update_job_status(late.id, status=status, occurred_at=now + timedelta(seconds=1))
    assert getattr(jobs.get_job_status(early.id), column) == created_at
    assert getattr(jobs.get_job_status(late.id), column) == now


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_no_job_ends_before_it_started_however_late_its_end_is_told(status: str, cast: Cast, clock: Clock) -> None:
    job = job_in("pending", cast.acme)
    before, started_at = clock.advance(minutes=1), clock.advance(minutes=1)
    jobs.update_job_status(job.id, status="running")
    clock.advance(minutes=1)
    after = jobs.update_job_status(job.id, status=status, occurred_at=before)
    assert (after.started_at, after.completed_at, after.duration) == (started_at, started_at, timedelta(0))
    assert jobs.list_events(job)[-1].at == started_at


def test_a_lost_job_that_had_completed_tells_when_and_its_history_runs_forward(cast: Cast, clock: Clock) -> None:
    job = job_in("running", cast.acme)
    end = clock.advance(minutes=1)
    clock.advance(minutes=1)
    assert jobs.fail_overdue(jobs.get_job_status(job.id), FailureReason.LOST, "Silence.")
    reported_at = clock.advance(minutes=1)
    assert jobs.update_job_status(job.id, status="completed", occurred_at=end).completed_at == end
    times = [event.at for event in jobs.list_events(job)]
    assert times == sorted(times)
    assert times[-2:] == [reported_at, reported_at]


@pytest.mark.parametrize("batched", [0, 1, 2])
def test_the_history_of_a_job_that_ran_on_runs_forward_however_late_its_end(
    batched: int, cast: Cast, clock: Clock
) -> None:
    job = job_in("running", cast.acme)
    end = clock.advance(minutes=1)
    clock.advance(minutes=1)
    assert jobs.fail_overdue(jobs.get_job_status(job.id), FailureReason.LOST, "Silence.")
    reported_at = clock.advance(minutes=1)
    reports: list[dict[str, Any]] = [{"progress": 80}, {"status": "completed", "occurred_at": end}]
    while len(reports) > batched:
        jobs.update_job_status(job.id, **reports.pop(0))
    if reports:
        batch = [BatchedReport.parse({"id": job.id} | report) for report in reports]
        jobs.apply_reports(cast.acme.id, batch, by=RUNNER)
    assert jobs.get_job_status(job.id).completed_at == end
    assert [event.at for event in jobs.list_events(job)][-2:] == [reported_at, reported_at]


def test_each_history_begins_with_the_enqueueing(cast: Cast) -> None:
    (event,) = jobs.list_events(job_in("pending", cast.acme))
    assert (event.kind, event.from_status, event.to_status, event.by) == ("enqueued", None, "pending", RUNNER.ref)


def test_every_write_makes_the_version_grow(cast: Cast) -> None:
    job = job_in("pending", cast.acme)
    seen = [job.version]
    reports: list[dict[str, Any]] = [{}, {"status": "running"}, {"progress": 1}, {"status": "completed"}]
    for report in reports:
        seen.append(jobs.update_job_status(job.id, **report).version)
    assert seen == sorted(set(seen))


def test_a_job_handed_out_by_a_write_still_knows_its_payload(core: Flask, cast: Cast) -> None:
    payload = {"z": 1, "a": {"ö": [1.5, None, "∑"]}}
    job_id = jobs.enqueue_job("t", cast.acme.id, payload)
    after = jobs.update_job_status(job_id, status="running")
    assert after.payload == payload
    assert list(after.payload or {}) == ["z", "a"]
    assert jobs.cancel_job(job_id, by=OPERATOR).payload == payload


def test_a_job_read_before_is_never_judged_by_what_it_was_then(core: Flask, cast: Cast) -> None:
    job = job_in("running", cast.acme)
    jobs.get_job_status(job.id)
    with core.app_context():
        jobs.cancel_job(job.id, by=OPERATOR)
    assert refusal(job, progress=50).code == CANCELED


def test_code_that_polls_sees_what_others_did_meanwhile(core: Flask, cast: Cast) -> None:
    job = job_in("running", cast.acme)
    assert jobs.get_job_status(job.id).status == "running"
    with core.app_context():
        jobs.cancel_job(job.id, by=OPERATOR)
    assert jobs.get_job_status(job.id).status == "canceled"
