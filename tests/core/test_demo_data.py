"""``demo seed``: a made-up fortnight in which every page is full, as true to the lifecycle as a real one."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.people import Cast
from webapp.core import audit, demo_data, jobs
from webapp.core.audit import SYSTEM, AuditFilter
from webapp.core.database.session import db
from webapp.core.jobs import PastJob
from webapp.core.lifecycle import FINAL, EventKind, JobStatus
from webapp.core.models import JobEvent, JobRun, JobTag, WebhookDelivery
from webapp.core.workspaces import tokens


@pytest.fixture
def clock(clock: Clock) -> Clock:
    return clock


def seeded(cast: Cast, count: int = 300) -> list[JobRun]:
    assert list(demo_data.seed(cast.acme.id, count, seed=1, by=SYSTEM))[-1] == count
    return list(db.session.scalars(sa.select(JobRun).order_by(JobRun.id)))


def test_a_fortnight_has_every_status_and_ends_now(clock: Clock, core: Flask, cast: Cast) -> None:
    made_up = seeded(cast)
    assert len(made_up) == 300
    assert {job.status for job in made_up} == set(JobStatus)
    assert all(clock.now() - demo_data.SPAN <= job.created_at <= clock.now() for job in made_up)
    assert all(job.ended_at <= clock.now() for job in made_up if job.ended_at)
    assert [job.created_at for job in made_up] == sorted(job.created_at for job in made_up)
    assert {job.workspace_id for job in made_up} == {cast.acme.id}
    assert all(job.error and job.failure_reason for job in made_up if job.status is JobStatus.FAILED)


def test_each_job_has_the_history_that_leads_to_its_status(clock: Clock, core: Flask, cast: Cast) -> None:
    for job in seeded(cast, 60):
        events = jobs.list_events(job)
        assert [event.kind for event in events] == [EventKind.ENQUEUED] + [EventKind.MOVED] * (len(events) - 1)
        assert events[-1].to_status is job.status
        assert [event.from_status for event in events[1:]] == [event.to_status for event in events[:-1]]
        assert [event.at for event in events] == sorted(event.at for event in events)
    tags = {(row.job_id, row.tag) for row in db.session.scalars(sa.select(JobTag))}
    assert tags == {(job.id, tag) for job in db.session.scalars(sa.select(JobRun)) for tag in job.tags}


def test_each_record_tells_the_moments_of_its_history_and_no_others(clock: Clock, core: Flask, cast: Cast) -> None:
    for job in seeded(cast, 120):
        entered = {event.to_status: event for event in jobs.list_events(job)}
        at = {status: event.at for status, event in entered.items()}
        ended = at.get(JobStatus.COMPLETED) or at.get(JobStatus.FAILED)
        assert (job.created_at, job.started_at) == (at[JobStatus.PENDING], at.get(JobStatus.RUNNING))
        assert (job.completed_at, job.canceled_at) == (ended, at.get(JobStatus.CANCELED))
        assert job.updated_at == max(at.values())
        assert job.canceled_by == (entered[JobStatus.CANCELED].by if job.canceled_at else None)
        # A job that was canceled before it started has no runner that could have heard.
        confirmed_at = job.canceled_at if job.started_at else None
        assert (job.cancel_seen_at, job.cancel_confirmed_at) == (confirmed_at, confirmed_at)


def test_the_same_seed_tells_the_same_fortnight(clock: Clock) -> None:
    def make_up(seed: int) -> list[PastJob]:
        return list(demo_data.make_fortnight(200, seed=seed, until=clock.now(), creators=["a", "b"]))

    assert make_up(1) == make_up(1)
    assert make_up(1) != make_up(2)


@pytest.mark.parametrize("count", [1, 2, 7, 1200])
def test_as_many_jobs_are_told_as_were_asked_for(clock: Clock, count: int) -> None:
    assert sum(1 for _ in demo_data.make_fortnight(count, seed=1, until=clock.now(), creators=["a", "b"])) == count


def test_some_wait_some_run_and_some_have_been_running_for_hours(clock: Clock) -> None:
    past_jobs = list(demo_data.make_fortnight(3000, seed=1, until=clock.now(), creators=["a", "b"]))
    live = [job for job in past_jobs if job.status not in FINAL]
    assert min(Counter(job.status for job in live).values()) >= 5
    assert sum(clock.now() - job.created_at > timedelta(hours=1) for job in live) >= 3


def test_nothing_of_a_made_up_past_is_sent_to_anybody(clock: Clock, core: Flask, cast: Cast) -> None:
    seeded(cast, 40)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(WebhookDelivery)) == 0


def test_the_audit_log_tells_of_it_and_a_second_fortnight_needs_no_new_tokens(
    clock: Clock, core: Flask, cast: Cast
) -> None:
    seeded(cast, 20)
    made = len(tokens.list_tokens(cast.acme.id))
    list(demo_data.seed(cast.acme.id, 20, seed=1, by=SYSTEM))
    assert len(tokens.list_tokens(cast.acme.id)) == made
    lines = audit.list_entries(cast.acme.id, AuditFilter(action="demo.seeded"), limit=10).entries
    assert [line.detail for line in lines] == [{"jobs": 20, "seed": 1}] * 2


def test_a_past_that_the_lifecycle_forbids_is_not_written(clock: Clock) -> None:
    now = clock.now()
    later = now + timedelta(seconds=1)
    for broken in (
        {"status": JobStatus.COMPLETED, "ended_at": later},
        {"status": JobStatus.COMPLETED, "started_at": now},
        {"status": JobStatus.RUNNING, "started_at": now, "ended_at": later},
        {"status": JobStatus.FAILED, "started_at": later, "ended_at": now},
    ):
        with pytest.raises(ValueError, match="No job becomes"):
            PastJob(type="report", created_at=now, **broken)  # type: ignore[arg-type]


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_makes_its_workspace_once_and_adds_to_it(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "instance_path", str(tmp_path))
    command = ["demo", "seed", "--jobs", "30", "--workspace", "full-board"]
    first, second = (app.test_cli_runner().invoke(args=command) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "The workspace full-board is new; sign in as demo@example.com" in first.output
    assert "is new" not in second.output
    assert "30 jobs were added: http://127.0.0.1:8000/w/full-board/jobs" in second.output
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(JobRun)) == 60
        assert (db.session.scalar(sa.select(sa.func.count()).select_from(JobEvent)) or 0) > 60


@pytest.mark.parametrize("options", [["--jobs", "0"], ["--jobs", "many"], ["--workspace", "No Slug"]])
def test_the_command_refuses_in_one_line_what_it_cannot_do(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr(app, "instance_path", str(tmp_path))
    ended = app.test_cli_runner().invoke(args=["demo", "seed", *options])
    assert ended.exit_code != 0
    assert "Error: " in ended.output
    assert "Traceback" not in ended.output
