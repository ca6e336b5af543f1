"""What a token may do and see beyond its first scope: end a job as canceled, and read what came of it."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from tests.support.jobs import listen
from tests.support.people import Cast
from tests.support.runner import Runner
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.models import AuditEntry, Scope
from webapp.core.workspaces import tokens

RunnerWith = Callable[..., Runner]


@pytest.fixture
def runner_with(app: Flask, cast: Cast) -> RunnerWith:
    """Makes a runner of acme whose token has these scopes."""

    def make(*scopes: Scope) -> Runner:
        with app.app_context():
            _, text = tokens.create_unchecked(cast.acme.id, " ".join(scopes), scopes=scopes, by=SYSTEM)
        return Runner(app.test_client(), text)

    return make


@pytest.fixture
def writer(runner_with: RunnerWith) -> Runner:
    return runner_with(Scope.WRITE)


def cancels(app: Flask) -> list[str]:
    """Who canceled, by the audit log."""
    with app.app_context():
        query = sa.select(AuditEntry.actor).where(AuditEntry.action == "job.canceled").order_by(AuditEntry.id)
        return list(db.session.scalars(query))


def status(app: Flask, job: dict[str, Any]) -> str:
    with app.app_context():
        return jobs.get_job_status(uuid.UUID(job["id"])).status.value


def lose(app: Flask, clock: Clock) -> None:
    """Let half a minute pass in which no runner reports, though the board listens."""
    with app.app_context():
        listen(clock, 32)


def report_in_batch(runner: Runner, job: dict[str, Any], **body: Any) -> Any:
    [answer] = runner.post("/jobs/batch", {"data": [{"id": job["id"], **body}]}).json["data"]
    return answer


# --- to end a job as canceled ------------------------------------------------------------------------------------


def test_a_token_cancels_by_a_report_what_it_created(app: Flask, writer: Runner) -> None:
    for start in (False, True):
        job = writer.enqueue()
        if start:
            writer.report(job, status="running")
        assert writer.report(job, status="canceled").status_code == 200
        assert status(app, job) == "canceled"
    assert cancels(app) == []


def test_a_token_cancels_by_a_report_what_it_started(app: Flask, writer: Runner, runner_with: RunnerWith) -> None:
    job = runner_with(Scope.WRITE).enqueue()
    writer.report(job, status="running")
    assert writer.report(job, status="canceled", message="given up").status_code == 200
    assert (status(app, job), cancels(app)) == ("canceled", [])


@pytest.mark.parametrize("heartbeat_timeout", [None, 10])
def test_what_a_batch_started_it_may_also_end_as_canceled(
    app: Flask, clock: Clock, writer: Runner, runner_with: RunnerWith, heartbeat_timeout: int | None
) -> None:
    other = runner_with(Scope.WRITE)
    job = other.enqueue(heartbeat_timeout=heartbeat_timeout)
    if heartbeat_timeout:
        other.report(job, status="running")
        lose(app, clock)
    reports = [{"id": job["id"], "status": status} for status in ("running", "canceled")]
    answers = writer.post("/jobs/batch", {"data": reports}).json["data"]
    assert [answer["status"] for answer in answers] == [200, 200]
    assert (status(app, job), cancels(app)) == ("canceled", [])


@pytest.mark.parametrize("is_started", [False, True])
def test_for_the_job_of_another_token_it_needs_the_scope(
    app: Flask, writer: Runner, runner_with: RunnerWith, is_started: bool
) -> None:
    other = runner_with(Scope.WRITE, Scope.READ)
    job = other.enqueue(payload={"customer": 7})
    if is_started:
        other.report(job, status="running")
    before = other.get(f"/jobs/{job['id']}").json
    answer = writer.report(job, status="canceled")
    assert (answer.status_code, answer.json["code"]) == (403, "missing_scope")
    assert "jobs:cancel" in answer.json["detail"]
    assert "job" not in answer.json
    answer = report_in_batch(writer, job, status="canceled")
    assert (answer["status"], answer["problem"]["code"]) == (403, "missing_scope")
    assert other.get(f"/jobs/{job['id']}").json == before
    assert cancels(app) == []


@pytest.mark.parametrize("in_batch", [False, True])
def test_with_the_scope_it_is_a_line_of_the_audit_log(
    app: Flask, writer: Runner, runner_with: RunnerWith, in_batch: bool
) -> None:
    canceler = runner_with(Scope.WRITE, Scope.CANCEL)
    job = writer.enqueue()
    writer.report(job, status="running")
    if in_batch:
        assert report_in_batch(canceler, job, status="canceled")["status"] == 200
    else:
        assert canceler.report(job, status="canceled").status_code == 200
    [actor] = cancels(app)
    with app.app_context():
        assert jobs.get_job_status(uuid.UUID(job["id"])).canceled_by == actor


def test_who_only_reports_on_a_running_job_has_not_started_it(
    app: Flask, writer: Runner, runner_with: RunnerWith
) -> None:
    job = runner_with(Scope.WRITE).enqueue()
    runner_with(Scope.WRITE).report(job, status="running")
    assert writer.report(job, status="running", progress=40).status_code == 200
    assert writer.report(job, status="canceled").status_code == 403
    assert status(app, job) == "running"


def test_any_writer_confirms_a_cancel_and_hears_how_a_finished_job_stands(
    writer: Runner, runner_with: RunnerWith
) -> None:
    other = runner_with(Scope.WRITE)
    canceled, completed = other.enqueue(), other.enqueue()
    other.report(canceled, status="canceled")
    other.report(completed, status="running")
    other.report(completed, status="completed")
    assert writer.report(canceled, status="canceled").status_code == 200
    assert writer.report(completed, status="canceled").json["code"] == "illegal_transition"


def test_a_lost_job_is_neither_revived_nor_canceled_by_a_stranger(
    app: Flask, clock: Clock, writer: Runner, runner_with: RunnerWith
) -> None:
    other = runner_with(Scope.WRITE, Scope.READ)
    job = other.enqueue(heartbeat_timeout=10)
    other.report(job, status="running")
    lose(app, clock)
    assert other.get(f"/jobs/{job['id']}").json["failure_reason"] == "lost"
    assert writer.report(job, status="canceled").status_code == 403
    assert status(app, job) == "failed"
    assert other.report(job, status="canceled").status_code == 200
    assert status(app, job) == "canceled"


# --- to see what came of it --------------------------------------------------------------------------------------

SECRET = {"token": "hidden away"}


@pytest.fixture
def finished(runner_with: RunnerWith) -> dict[str, dict[str, Any]]:
    """Jobs of another token that have a result or an error."""
    other = runner_with(Scope.WRITE)
    ended = {name: other.enqueue() for name in ("completed", "failed", "running")}
    for job in ended.values():
        other.report(job, status="running", result=SECRET)
    other.report(ended["completed"], status="completed", result=SECRET)
    other.report(ended["failed"], status="failed", error="hidden away")
    return ended


def test_no_answer_shows_result_or_error_to_who_may_not_read(
    runner_with: RunnerWith, finished: dict[str, dict[str, Any]]
) -> None:
    writer = runner_with(Scope.WRITE, Scope.CANCEL)
    answers = [writer.report(job, **body) for job in finished.values() for body in ({}, {"status": "pending"})]
    answers += [writer.post("/jobs/batch", {"data": [{"id": job["id"]} for job in finished.values()]})]
    answers += [writer.post(f"/jobs/{job['id']}/cancel") for job in finished.values()]
    assert {answer.status_code for answer in answers} == {200, 409}
    for answer in answers:
        assert "hidden away" not in answer.text
    for answer in answers:
        for job in (answer.json, answer.json.get("job", {})):
            assert not {"result", "error"} & job.keys()


def test_a_replayed_request_shows_no_result_to_who_may_not_read(client: FlaskClient, runner_with: RunnerWith) -> None:
    writer, key = runner_with(Scope.WRITE), {"Idempotency-Key": "nightly-7"}
    job = client.post("/api/v1/jobs", json={"type": "t"}, headers=writer.headers | key).json
    assert job is not None
    assert not {"result", "error"} & job.keys()
    writer.report(job, status="running", result=SECRET)
    again = client.post("/api/v1/jobs", json={"type": "t"}, headers=writer.headers | key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "hidden away" not in again.text
    reader = runner_with(Scope.WRITE, Scope.READ)
    again = client.post("/api/v1/jobs", json={"type": "t"}, headers=reader.headers | key)
    assert again.json is not None
    assert again.json["result"] == SECRET


def test_who_may_read_sees_both_in_every_answer_but_a_batch(
    runner_with: RunnerWith, finished: dict[str, dict[str, Any]]
) -> None:
    reader = runner_with(Scope.WRITE, Scope.READ, Scope.CANCEL)
    assert reader.report(finished["running"]).json["result"] == SECRET
    assert reader.report(finished["completed"], status="pending").json["job"]["result"] == SECRET
    assert reader.report(finished["failed"], status="pending").json["job"]["error"] == "hidden away"
    assert "hidden away" not in reader.post("/jobs/batch", {"data": [{"id": finished["running"]["id"]}]}).text
    assert reader.post(f"/jobs/{finished['running']['id']}/cancel").json["result"] == SECRET
