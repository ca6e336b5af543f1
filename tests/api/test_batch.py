"""Many reports in one request: each is judged as if it had come alone, and they are written together."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clock import Clock
from tests.support.jobs import RUNNER, job_in
from tests.support.people import Cast
from tests.support.runner import Runner
from tests.support.transitions import PAIRS
from webapp.core import jobs
from webapp.core.clock import to_iso
from webapp.core.database.session import db
from webapp.core.errors import Conflict, CoreError
from webapp.core.jobs import store
from webapp.core.jobs.inputs import BatchedReport, Report
from webapp.core.models import JOB_FIELDS, JobRun, JobSnapshot

LIKE_IT_OR_NOT = ("id", "parent_id", "version")
STATES = ("pending", "running", "completed", "failed", "canceled", "lost", "timed_out")


@pytest.fixture
def runner(client: FlaskClient, token: str) -> Runner:
    return Runner(client, token)


reports = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["pending", "running", "completed", "failed", "canceled"]),
        "progress": st.integers(0, 100),
        "message": st.sampled_from(["a", "b"]),
    },
)


def send(runner: Runner, *reports: Any) -> list[dict[str, Any]]:
    answer = runner.post("/jobs/batch", {"data": list(reports)})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json["data"]
    return data


def as_it_stands(job: JobRun) -> dict[str, Any]:
    return {
        column.key: getattr(job, column.key) for column in JobRun.__table__.columns if column.key not in LIKE_IT_OR_NOT
    }


def told_of(job: JobRun) -> list[tuple[Any, ...]]:
    return [
        (event.kind, event.at, event.from_status, event.to_status, event.message) for event in jobs.list_events(job)
    ]


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


def test_each_report_is_answered_by_itself_in_the_order_given(
    runner: Runner, app: Flask, cast: Cast, other_token: str, client: FlaskClient
) -> None:
    with app.app_context():
        ids = {state: str(job_in(state, cast.acme).id) for state in ("running", "completed", "canceled")}
    elsewhere = Runner(client, other_token).enqueue()["id"]
    answers = send(
        runner,
        {"id": ids["running"], "progress": 40},
        {"id": elsewhere, "progress": 1},
        {"id": str(uuid.uuid4())},
        {"id": ids["completed"], "status": "failed"},
        {"id": ids["canceled"], "progress": 5},
        {"id": ids["running"], "progress": 101, "colour": "red"},
        {"id": "nonsense"},
        {},
        5,
    )
    assert [answer["status"] for answer in answers] == [200, 404, 404, 409, 409, 422, 422, 422, 422]
    assert answers[0]["job"]["progress"] == 40
    assert "payload" not in answers[0]["job"]
    codes = [answer["problem"]["code"] for answer in answers[1:]]
    assert codes == ["not_found"] * 2 + ["illegal_transition", "job_canceled"] + ["invalid"] * 4
    assert answers[4]["problem"]["job"]["cancel_seen_at"]
    assert [fault["pointer"] for fault in answers[5]["problem"]["errors"]] == ["/progress", "/colour"]
    assert runner.get(f"/jobs/{ids['running']}").json["progress"] == 40


def test_several_reports_on_one_job_are_applied_in_the_order_given(runner: Runner) -> None:
    job = runner.enqueue()
    mine = {"id": job["id"]}
    answers = send(
        runner,
        mine | {"progress": 10},
        mine | {"status": "running", "message": "one"},
        mine | {"progress": 60, "message": "two"},
        mine | {"status": "completed", "result": {"rows": 3}},
        mine | {"status": "completed", "result": {"rows": 3}},
        mine | {"progress": 70},
    )
    assert [answer["status"] for answer in answers] == [409, 200, 200, 200, 200, 409]
    assert [answer["job"]["progress"] for answer in answers[1:5]] == [0, 60, 100, 100]
    stored = runner.get(f"/jobs/{job['id']}").json
    assert (stored["status"], stored["progress"], stored["message"], stored["result"]) == (
        "completed", 100, "two", {"rows": 3},
    )  # fmt: skip
    assert runner.kinds(job) == ["enqueued", "moved", "moved"]


@pytest.mark.parametrize(("state", "status", "expected"), PAIRS)
def test_a_batch_judges_every_pair_as_a_single_report_is_judged(
    core: Flask, cast: Cast, clock: Clock, state: str, status: str | None, expected: str
) -> None:
    sent = {"message": "news"} | ({"status": status} if status else {})
    single, batched = job_in(state, cast.acme), job_in(state, cast.acme)
    clock.advance(seconds=5)
    try:
        jobs.apply_report(single.id, Report.parse(sent), within=cast.acme.id, by=RUNNER)
        alone = None
    except Conflict as refused:
        alone = refused.code
    [answer] = jobs.apply_reports(cast.acme.id, [BatchedReport.parse(sent | {"id": str(batched.id)})], by=RUNNER)
    assert (answer.code if isinstance(answer, Conflict) else None) == alone
    single, batched = jobs.get_job_status(single.id), jobs.get_job_status(batched.id)
    assert as_it_stands(batched) == as_it_stands(single)
    assert told_of(batched) == told_of(single)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbered_reports=st.lists(st.tuples(st.integers(0, 2), reports), min_size=1, max_size=12))
def test_a_batch_is_what_its_reports_would_have_been_one_by_one(
    core: Flask, cast: Cast, clock: Clock, numbered_reports: list[tuple[int, dict[str, Any]]]
) -> None:
    twins = [(job_in(state, cast.acme).id, job_in(state, cast.acme).id) for state in ("pending", "running", "lost")]
    alone: list[str] = []
    for n, sent in numbered_reports:
        try:
            alone.append(jobs.apply_report(twins[n][0], Report.parse(sent), within=cast.acme.id, by=RUNNER).status)
        except CoreError as error:
            alone.append(getattr(error, "code", "?"))
    batch = [BatchedReport.parse(sent | {"id": str(twins[n][1])}) for n, sent in numbered_reports]
    together = jobs.apply_reports(cast.acme.id, batch, by=RUNNER)
    assert [
        answer.status if isinstance(answer, JobSnapshot) else getattr(answer, "code", "?") for answer in together
    ] == alone
    for one, other in twins:
        assert as_it_stands(jobs.get_job_status(one)) == as_it_stands(jobs.get_job_status(other))
        assert told_of(jobs.get_job_status(one)) == told_of(jobs.get_job_status(other))


def test_five_hundred_reports_are_written_with_a_handful_of_statements(core: Flask, cast: Cast) -> None:
    ids = [job_in("running", cast.acme).id for _ in range(500)]
    moves = [{"id": str(job_id), "status": "completed", "result": {"n": n}} for n, job_id in enumerate(ids)]
    with counted_statements() as statements:
        answers = jobs.apply_reports(cast.acme.id, [BatchedReport.parse(move) for move in moves], by=RUNNER)
    assert {answer.status for answer in answers if isinstance(answer, JobSnapshot)} == {"completed"}
    assert len(statements) <= 8, statements
    assert jobs.get_job_status(ids[77]).result == {"n": 77}


def test_a_spool_sent_after_an_outage_tells_the_true_times(
    app: Flask, runner: Runner, cast: Cast, clock: Clock
) -> None:
    with app.app_context():
        id = str(jobs.enqueue_job("report", cast.acme.id))
    started, ended = (to_iso(clock.advance(minutes=minutes)) for minutes in (1, 10))
    clock.advance(hours=1)
    spool = [{"status": "running", "occurred_at": started}, {"status": "completed", "occurred_at": ended}]
    assert [answer["status"] for answer in send(runner, *({"id": id} | report for report in spool))] == [200, 200]
    job = runner.get(f"/jobs/{id}").json
    assert (job["started_at"], job["completed_at"]) == (started, ended)
    assert [event["at"] for event in runner.get(f"/jobs/{id}/events").json["data"][1:]] == [started, ended]


def test_a_batch_that_fails_half_way_has_changed_nothing(
    core: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [job_in("running", cast.acme).id for _ in range(2)]
    monkeypatch.setattr(store, "_write_events", lambda *_: 1 / 0)
    batch = [BatchedReport.parse({"id": str(job_id), "status": "completed"}) for job_id in ids]
    with pytest.raises(ZeroDivisionError):
        jobs.apply_reports(cast.acme.id, batch, by=RUNNER)
    assert {jobs.get_job_status(job_id).status for job_id in ids} == {"running"}


@pytest.mark.parametrize(
    "body", [{}, {"data": []}, {"data": {}}, {"data": [{}] * 501}, {"data": [{}], "more": 1}, {"data": None}]
)
def test_a_batch_that_is_none_is_422(runner: Runner, body: Any) -> None:
    answer = runner.post("/jobs/batch", body)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert answer.json["errors"]


def test_the_counts_name_every_status_and_count_the_own_workspace_alone(runner: Runner, app: Flask, cast: Cast) -> None:
    with app.app_context():
        for state in (*STATES, "running"):
            job_in(state, cast.acme)
        job_in("running", cast.other)
    assert runner.get("/jobs/counts").json == {
        "pending": {"count": 1, "capped": False},
        "running": {"count": 2, "capped": False},
        "completed": {"count": 1, "capped": False},
        "failed": {"count": 3, "capped": False},
        "canceled": {"count": 1, "capped": False},
    }
    assert runner.get("/jobs/counts?status=running").status_code == 422


def test_an_answer_to_a_batch_leaves_out_what_may_be_large(runner: Runner) -> None:
    job = runner.enqueue(payload={"large": "x" * 100_000})
    runner.report(job, status="running", result={"large": "x" * 250_000})
    failed = runner.enqueue()
    runner.report(failed, status="failed", error="x" * 60_000)
    answer = runner.post(
        "/jobs/batch", {"data": [{"id": job["id"]}] * 250 + [{"id": failed["id"], "progress": 1}] * 250}
    )
    taken, refused = answer.json["data"][0], answer.json["data"][-1]
    assert (taken["status"], refused["status"]) == (200, 409)
    whole = {*JOB_FIELDS} - {"payload", "result", "error"}
    assert set(taken["job"]) == set(refused["problem"]["job"]) == whole
    assert len(answer.data) < 1_000_000
    assert runner.get(f"/jobs/{job['id']}").json["result"] == {"large": "x" * 250_000}


def test_a_batch_may_be_answered_with_the_least(runner: Runner) -> None:
    job, ended = runner.enqueue(), runner.enqueue()
    runner.report(ended, status="failed")
    answer: Any = runner.client.post(
        "/api/v1/jobs/batch",
        json={"data": [{"id": job["id"], "status": "running"}, {"id": ended["id"], "progress": 1}]},
        headers=runner.headers | {"Prefer": "return=minimal"},
    )
    assert answer.headers["Preference-Applied"] == "return=minimal"
    taken, refused = answer.json["data"]
    assert taken["job"] == {"id": job["id"], "status": "running", "progress": 0, "version": 2}
    assert (refused["problem"]["code"], refused["problem"]["job"]["type"]) == ("illegal_transition", "report")
