"""The board's own judgement: what ran too long, who fell silent, and that the board never blames others for itself."""

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.support.clock import Clock
from tests.support.jobs import RUNNER, listen
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.chores import liveness
from webapp.core.chores.liveness import SweepResult
from webapp.core.errors import Conflict
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import BatchedReport, NewLines
from webapp.core.models import JobRun

pytestmark = pytest.mark.usefixtures("core")

NOBODY = SweepResult(timed_out=0, lost=0)


def running(cast: Cast, **limits: int) -> uuid.UUID:
    job_id = jobs.enqueue_job("t", cast.acme.id, by=RUNNER, **limits)  # type: ignore[arg-type]
    jobs.update_job_status(job_id, status="running", by=RUNNER)
    return job_id


def standing(job_id: uuid.UUID) -> tuple[str, str | None]:
    job = jobs.get_job_status(job_id)
    return job.status.value, job.failure_reason


def test_a_runner_silent_for_its_timeout_has_lost_its_job(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    assert listen(clock, 50) == NOBODY
    assert standing(job_id) == ("running", None)
    assert listen(clock, 10) == SweepResult(timed_out=0, lost=1)
    job = jobs.get_job_status(job_id)
    assert standing(job_id) == ("failed", "lost")
    assert (job.completed_at, job.check_at) == (clock.now(), None)
    assert "60 s" in (job.error or "")
    last = jobs.list_events(job)[-1]
    assert (last.kind, last.from_status, last.to_status, last.by) == ("moved", "running", "failed", "system")
    assert listen(clock, 60) == NOBODY


@pytest.mark.parametrize("word", [{}, {"progress": 3}, {"message": "still here"}, {"status": "running"}])
def test_a_runner_that_speaks_in_time_is_never_failed(word: dict[str, Any], cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    for _ in range(5):
        assert listen(clock, 50) == NOBODY
        jobs.update_job_status(job_id, **word)
    assert standing(job_id) == ("running", None)


def test_a_job_past_its_limit_has_timed_out_however_loudly_it_speaks(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, max_duration=100, heartbeat_timeout=60)
    for _ in range(9):
        assert listen(clock, 10) == NOBODY
        jobs.update_job_status(job_id, progress=1)
    assert listen(clock, 10) == SweepResult(timed_out=1, lost=0)
    assert standing(job_id) == ("failed", "timed_out")
    with pytest.raises(Conflict) as refused:
        jobs.update_job_status(job_id, status="completed")
    assert refused.value.code == "job_timed_out"
    assert standing(job_id) == ("failed", "timed_out")


def test_the_limit_counts_from_the_start_and_not_from_the_enqueueing(cast: Cast, clock: Clock) -> None:
    # The second is looked at before its limit comes, because its runner might have fallen silent.
    limited = [jobs.enqueue_job("t", cast.acme.id, max_duration=60, heartbeat_timeout=each) for each in (None, 40)]
    assert listen(clock, 600) == NOBODY
    for job_id in limited:
        jobs.update_job_status(job_id, status="running")
    assert listen(clock, 30) == NOBODY
    jobs.update_job_status(limited[1])
    assert listen(clock, 20) == NOBODY
    assert listen(clock, 10) == SweepResult(timed_out=2, lost=0)


def test_a_job_that_waits_or_asked_for_no_limit_is_left_alone(cast: Cast, clock: Clock) -> None:
    unlimited = running(cast)
    waiting = jobs.enqueue_job("t", cast.acme.id, heartbeat_timeout=1, max_duration=1)
    assert listen(clock, 600) == NOBODY
    assert (standing(unlimited), standing(waiting)) == (("running", None), ("pending", None))
    assert jobs.get_job_status(unlimited).check_at is None


def test_after_a_pause_of_the_board_silence_counts_from_its_return(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    assert listen(clock, 20) == NOBODY
    clock.advance(hours=3)
    assert listen(clock, 0) == NOBODY
    assert listen(clock, 50) == NOBODY
    assert standing(job_id) == ("running", None)
    assert listen(clock, 10) == SweepResult(timed_out=0, lost=1)


def test_while_nobody_listens_nobody_is_called_silent(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    for _ in range(5):
        clock.advance(minutes=2)
        assert liveness.sweep() == NOBODY
    assert listen(clock, 10) == NOBODY
    clock.advance(minutes=5)
    assert liveness.sweep() == NOBODY
    assert standing(job_id) == ("running", None)


def test_a_beat_that_came_a_little_late_is_no_pause(cast: Cast, clock: Clock) -> None:
    running(cast, heartbeat_timeout=20)
    for _ in range(5):
        liveness.record_server_heartbeat()
        clock.advance(seconds=4)
    liveness.record_server_heartbeat()
    assert liveness.sweep() == SweepResult(timed_out=0, lost=1)


@pytest.mark.parametrize("away", [6, 30])
def test_a_gap_of_seconds_between_beats_is_a_pause(away: int, cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=20)
    assert listen(clock, 16) == NOBODY
    clock.advance(seconds=away)
    assert listen(clock, 18) == NOBODY
    assert standing(job_id) == ("running", None)
    assert listen(clock, 2) == SweepResult(timed_out=0, lost=1)


def test_a_restart_quicker_than_a_pause_is_one_all_the_same(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=20)
    assert listen(clock, 18) == NOBODY
    clock.advance(seconds=3)
    liveness.record_server_heartbeat(first=True)
    assert liveness.sweep() == NOBODY
    assert standing(job_id) == ("running", None)


def test_a_second_process_that_starts_beside_the_first_is_no_pause(cast: Cast, clock: Clock) -> None:
    running(cast, heartbeat_timeout=20)
    assert listen(clock, 18) == NOBODY
    clock.advance(seconds=1)
    liveness.record_server_heartbeat(first=True)
    assert listen(clock, 2) == SweepResult(timed_out=0, lost=1)


def test_a_sweep_before_the_first_beat_after_a_return_judges_nobody(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    assert listen(clock, 50) == NOBODY
    clock.advance(seconds=40)
    assert liveness.sweep() == NOBODY
    liveness.record_server_heartbeat(first=True)
    assert liveness.sweep() == NOBODY
    assert standing(job_id) == ("running", None)
    assert listen(clock, 58) == NOBODY
    assert listen(clock, 2) == SweepResult(timed_out=0, lost=1)


def test_time_after_the_last_beat_is_not_held_against_a_runner(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=20)
    assert listen(clock, 16) == NOBODY
    clock.advance(seconds=4.5)
    assert liveness.sweep() == NOBODY
    clock.advance(seconds=2)
    liveness.record_server_heartbeat(first=True)
    assert liveness.sweep() == NOBODY
    assert standing(job_id) == ("running", None)


def test_a_job_out_of_time_fails_even_after_a_pause_of_the_board(cast: Cast, clock: Clock) -> None:
    running(cast, max_duration=60)
    clock.advance(hours=1)
    assert liveness.sweep() == SweepResult(timed_out=1, lost=0)


def test_a_lost_job_that_speaks_again_is_watched_again(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    assert listen(clock, 60).lost == 1
    jobs.update_job_status(job_id, progress=50)
    assert standing(job_id) == ("running", None)
    assert listen(clock, 50) == NOBODY
    assert listen(clock, 10) == SweepResult(timed_out=0, lost=1)
    moves = [event.to_status for event in jobs.list_events(jobs.get_job_status(job_id)) if event.kind == "moved"]
    assert moves == ["running", "failed", "running", "failed"]


def test_a_lost_job_that_speaks_again_past_its_limit_has_timed_out(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60, max_duration=120)
    assert listen(clock, 60).lost == 1
    clock.advance(minutes=10)
    jobs.update_job_status(job_id)
    assert listen(clock, 10) == SweepResult(timed_out=1, lost=0)


def test_a_job_that_spoke_since_the_sweep_read_it_is_not_failed(
    core: Flask, cast: Cast, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    judge = liveness._check

    def judge_while_it_speaks(job: JobRun, listened: Any) -> Any:
        verdict = judge(job, listened)
        with core.app_context():
            jobs.update_job_status(job_id, progress=9)
        return verdict

    listen(clock, 50)
    monkeypatch.setattr(liveness, "_check", judge_while_it_speaks)
    monkeypatch.setattr(liveness, "PAGE_SIZE", 10)
    assert listen(clock, 10) == NOBODY
    assert standing(job_id) == ("running", None)


def test_one_sweep_takes_all_that_are_overdue_however_many(
    cast: Cast, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PAGE_SIZE", 2)
    for _ in range(5):
        running(cast, max_duration=60)
        running(cast, heartbeat_timeout=60)
        running(cast, heartbeat_timeout=600)
    assert listen(clock, 60) == SweepResult(timed_out=5, lost=5)


def test_a_sweep_goes_in_pages_and_leaves_the_rest_when_it_is_told_to_stop(
    cast: Cast, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PAGE_SIZE", 2)
    for _ in range(5):
        running(cast, max_duration=60)
    clock.advance(seconds=61)
    liveness.record_server_heartbeat()
    assert liveness.sweep(lambda: False) == SweepResult(timed_out=2, lost=0)
    assert liveness.sweep(lambda: True) == SweepResult(timed_out=3, lost=0)


def test_a_job_looked_at_is_not_looked_at_again_before_it_can_be_due(cast: Cast, clock: Clock) -> None:
    job_id = running(cast, heartbeat_timeout=60)
    started = clock.now()
    listen(clock, 0)
    check_at = jobs.get_job_status(job_id).check_at
    assert check_at is not None
    assert (check_at - started).total_seconds() == 60


def test_a_report_does_not_move_the_next_check_but_a_due_check_moves_past_it(cast: Cast, clock: Clock) -> None:
    job_id, started = running(cast, heartbeat_timeout=60), clock.now()

    def next_look() -> float:
        check_at = jobs.get_job_status(job_id).check_at
        assert check_at is not None
        return (check_at - started).total_seconds()

    for word in ({}, {"progress": 1}, {"message": "on"}, {"status": "running"}):
        clock.advance(seconds=8)
        jobs.update_job_status(job_id, **word)
        liveness.record_server_heartbeat()
    batch = [BatchedReport.parse({"id": str(job_id), "progress": 2})]
    jobs.apply_reports(cast.acme.id, batch, by=RUNNER)
    logs.append(job_id, NewLines.parse({"lines": [{"text": "on"}]}), within=cast.acme.id)
    assert next_look() == 60
    listen(clock, 26)
    assert next_look() == 60
    listen(clock, 2)
    assert next_look() == 32 + 60
