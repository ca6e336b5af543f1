"""What a runner may rely on when it creates, reads, lists, reports and cancels over HTTP."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from tests.support.people import Cast
from tests.support.runner import Runner
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.models import JOB_FIELDS, Scope
from webapp.core.workspaces import tokens


@pytest.fixture
def runner(client: FlaskClient, token: str) -> Runner:
    return Runner(client, token)


@pytest.fixture
def canceler(app: Flask, cast: Cast, client: FlaskClient) -> Runner:
    with app.app_context():
        return Runner(client, tokens.create_unchecked(cast.acme.id, "all", scopes=tuple(Scope), by=SYSTEM)[1])


def test_a_created_job_is_answered_whole_with_its_address(runner: Runner, cast: Cast) -> None:
    answer = runner.post(
        "/jobs", {"type": "report", "payload": {"b": 1, "a": [None, 1.5]}, "tags": ["x", "y"], "max_duration": 60}
    )
    assert answer.status_code == 201
    job = answer.json
    assert tuple(sorted(job)) == tuple(sorted(JOB_FIELDS))
    assert answer.headers["Location"].endswith(f"/api/v1/jobs/{job['id']}")
    assert uuid.UUID(job["id"]).version == 7
    assert (job["status"], job["progress"], job["max_duration"]) == ("pending", 0, 60)
    assert list(job["payload"]) == ["b", "a"]
    assert job["workspace_id"] == str(cast.acme.id)
    assert job["created_by"].startswith("token:")
    assert job["created_at"].endswith("Z")
    assert runner.get(f"/jobs/{job['id']}").json == job


def test_an_unchanged_job_is_304_and_a_heartbeat_makes_it_200_again(runner: Runner) -> None:
    job = runner.enqueue()
    first = runner.get(f"/jobs/{job['id']}")
    tag = first.headers["ETag"]
    assert runner.get(f"/jobs/{job['id']}", **{"If-None-Match": tag}).status_code == 304
    runner.report(job)
    again = runner.get(f"/jobs/{job['id']}", **{"If-None-Match": tag})
    assert again.status_code == 200
    assert again.json["last_seen_at"] is not None


def test_a_job_runs_from_pending_to_completed_with_one_event_for_each_move(runner: Runner) -> None:
    job = runner.enqueue()
    assert runner.report(job, status="running", progress=3, runner="w1").json["started_at"]
    assert runner.report(job, progress=50, message="half", result={"so": "far"}).json["result"] == {"so": "far"}
    done = runner.report(job, status="completed")
    assert done.status_code == 200
    assert (done.json["progress"], done.json["result"]) == (100, {"so": "far"})
    assert "payload" not in done.json
    assert runner.kinds(job) == ["enqueued", "moved", "moved"]


def test_progress_makes_no_event(runner: Runner) -> None:
    job = runner.enqueue()
    runner.report(job, status="running")
    for percent in (10, 20, 30):
        runner.report(job, progress=percent)
    assert runner.kinds(job) == ["enqueued", "moved"]


def test_a_canceled_job_tells_its_runner_to_stop_and_keeps_the_story(runner: Runner, canceler: Runner) -> None:
    job = runner.enqueue()
    runner.report(job, status="running")
    assert canceler.post(f"/jobs/{job['id']}/cancel").json["status"] == "canceled"
    assert canceler.post(f"/jobs/{job['id']}/cancel").status_code == 200
    answer = runner.report(job, progress=60)
    assert answer.status_code == 409
    assert answer.json["code"] == "job_canceled"
    assert answer.json["job"]["cancel_seen_at"]
    assert "payload" not in answer.json["job"]
    assert runner.report(job, status="completed", result={"n": 1}).status_code == 409
    assert runner.report(job, status="canceled").json["cancel_confirmed_at"]
    assert runner.report(job, status="canceled").status_code == 200
    assert runner.kinds(job) == ["enqueued", "moved", "moved", "cancel_seen", "refused", "cancel_confirmed"]


def test_a_finished_job_refuses_a_cancel_with_the_job_as_it_stands(runner: Runner, canceler: Runner) -> None:
    job = runner.enqueue()
    runner.report(job, status="failed", error="no disk")
    refused = canceler.post(f"/jobs/{job['id']}/cancel")
    assert refused.status_code == 409
    assert refused.json["code"] == "job_finished"
    assert refused.json["job"]["error"] == "no disk"


def test_a_list_is_newest_first_and_its_pages_meet_without_a_gap(runner: Runner) -> None:
    made = [runner.enqueue()["id"] for _ in range(5)]
    first = runner.get("/jobs?limit=2").json
    second = runner.get(f"/jobs?limit=2&cursor={first['next_cursor']}").json
    third = runner.get(f"/jobs?limit=2&cursor={second['next_cursor']}").json
    assert [job["id"] for page in (first, second, third) for job in page["data"]] == made[::-1]
    assert third["next_cursor"] is None
    assert not {"payload", "result"} & set(first["data"][0])


def test_a_list_row_has_its_error(runner: Runner) -> None:
    job = runner.enqueue()
    runner.report(job, status="failed", error="no disk")
    assert runner.get("/jobs").json["data"][0]["error"] == "no disk"


def test_a_list_filters_by_status_type_tag_and_time(runner: Runner, app: Flask, cast: Cast, clock: Clock) -> None:
    with app.app_context():
        old = str(jobs.enqueue_job("backup", cast.acme.id, tags=["night"]))
        clock.advance(hours=1)
        new = str(jobs.enqueue_job("report", cast.acme.id))
        jobs.update_job_status(uuid.UUID(new), status="running")

    def find(query: str) -> list[str]:
        return [job["id"] for job in runner.get(f"/jobs?{query}").json["data"]]

    assert find("status=running") == [new]
    assert find("status=running&status=pending") == [new, old]
    assert find("type=backup") == [old]
    assert find("tag=night") == [old]
    assert find("created_after=2026-11-24T12:00:00Z") == [new]
    assert find("created_before=2026-11-24T13:00:00Z") == [old]
    # Before there were ids there were no jobs.
    assert find("created_after=0022-09-24T12:38:01Z") == [new, old]
    assert find("created_before=0113-05-25T05:31:45Z") == []


@pytest.mark.parametrize(
    "query", ["status=done", "limit=0", "limit=101", "limit=x", "cursor=x", "created_after=now", "nope=1", "type="]
)
def test_a_bad_query_is_422_and_names_the_parameter(runner: Runner, query: str) -> None:
    answer = runner.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == [f"?{query.partition('=')[0]}"]


def test_everything_wrong_with_a_query_is_named_at_once_in_the_words_of_a_body(runner: Runner) -> None:
    answer = runner.get("/jobs?status=done&status=over&type=&limit=x&limit=6&nope=1&created_after=yesterday")
    faults = {fault["pointer"]: fault["detail"] for fault in answer.json["errors"]}
    assert set(faults) == {"?status", "?type", "?limit", "?nope", "?created_after"}
    assert len(answer.json["errors"]) == len(faults)
    assert faults["?nope"] == "There is no such parameter."
    assert faults["?limit"] == "Only status may be repeated."
    (in_a_body,) = runner.post("/jobs", {"type": ""}).json["errors"]
    assert faults["?type"] == in_a_body["detail"]


def test_a_whole_number_may_be_written_with_a_point(runner: Runner) -> None:
    job = runner.enqueue(max_duration=60.0)
    answer = runner.send("PATCH", f"/jobs/{job['id']}", b'{"status": "running", "progress": 40.0}')
    assert (answer.status_code, answer.json["progress"], answer.json["max_duration"]) == (200, 40, 60)


def test_a_304_is_answered_without_drawing_the_job(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    job = runner.enqueue()
    answer = runner.get(f"/jobs/{job['id']}")
    monkeypatch.setattr("webapp.api.jobs.job_json", None)
    for held in (answer.headers["ETag"], f"W/{answer.headers['ETag']}", "*"):
        again = runner.get(f"/jobs/{job['id']}", **{"If-None-Match": held})
        assert (again.status_code, again.text) == (304, "")
        assert again.headers["ETag"] == answer.headers["ETag"]
        assert "private" in again.headers["Cache-Control"]


def test_a_job_that_is_told_late_was_made_when_its_runner_made_it(runner: Runner, clock: Clock) -> None:
    newer = runner.enqueue()
    body = {"occurred_at": "2026-11-24T11:00:00Z", "tags": ["late"]}
    late = runner.enqueue(**body)
    assert (late["created_at"], late["updated_at"]) == ("2026-11-24T11:00:00.000000Z", newer["created_at"])
    started = runner.report(late, status="running", occurred_at="2026-11-24T11:00:05Z").json["started_at"]
    assert started == "2026-11-24T11:00:05.000000Z"
    events = runner.get(f"/jobs/{late['id']}/events").json["data"]
    assert [event["at"][11:19] for event in events] == ["11:00:00", "11:00:05"]
    # Ids sort by creation, and so does the list.
    assert [job["id"] for job in runner.get("/jobs").json["data"]] == [newer["id"], late["id"]]
    assert runner.get("/jobs?created_before=2026-11-24T11:30:00Z").json["data"][0]["id"] == late["id"]


@pytest.mark.parametrize(
    ("occurred_at", "kept"),
    [("2026-11-24T12:00:01Z", "2026-11-24T12:00:00.000000Z"), ("1999-01-01T00:00:00Z", "2026-10-25T12:00:00.000000Z")],
)
def test_a_job_is_made_neither_in_the_future_nor_more_than_30_days_ago(
    runner: Runner, clock: Clock, occurred_at: str, kept: str
) -> None:
    assert runner.enqueue(occurred_at=occurred_at)["created_at"] == kept


def test_a_late_report_tells_the_true_times_within_bounds(runner: Runner, app: Flask, cast: Cast, clock: Clock) -> None:
    with app.app_context():
        job = {"id": str(jobs.enqueue_job("report", cast.acme.id))}
    clock.advance(minutes=10)
    started = runner.report(job, status="running", occurred_at="2020-01-01T00:00:00Z").json["started_at"]
    assert started == "2026-11-24T12:00:00.000000Z"
    finished = runner.report(job, status="completed", occurred_at="2026-11-24T12:04:00Z").json["completed_at"]
    assert datetime.fromisoformat(finished) == datetime(2026, 11, 24, 12, 4, tzinfo=UTC)


def test_a_late_report_that_a_job_ended_never_ends_it_before_it_started(runner: Runner, clock: Clock) -> None:
    job = runner.enqueue()
    clock.advance(minutes=10)
    started = runner.report(job, status="running").json["started_at"]
    ended = runner.report(job, status="failed", occurred_at="2026-11-24T12:04:00Z").json["completed_at"]
    assert ended == started == "2026-11-24T12:10:00.000000Z"


def test_the_numbers_of_events_tell_nothing_of_other_workspaces(
    runner: Runner, client: FlaskClient, other_token: str
) -> None:
    elsewhere = Runner(client, other_token)
    job = runner.enqueue()
    for _ in range(5):
        elsewhere.enqueue()
    runner.report(job, status="running")
    assert [event["id"] for event in runner.get(f"/jobs/{job['id']}/events").json["data"]] == [1, 2]


def test_a_runner_may_ask_for_the_least_of_an_answer(runner: Runner) -> None:
    minimal = runner.headers | {"Prefer": "return=minimal", "Idempotency-Key": "once"}
    for status in (201, 200):
        created: Any = runner.client.post("/api/v1/jobs", json={"type": "report"}, headers=minimal)
        assert created.status_code == status
        assert created.headers["Preference-Applied"] == "return=minimal"
        assert created.json == {"id": created.json["id"], "status": "pending", "progress": 0, "version": 1}
        assert created.headers["Location"].endswith(created.json["id"])
    path = f"/api/v1/jobs/{created.json['id']}"
    reported: Any = runner.client.patch(path, json={"status": "running", "progress": 5}, headers=minimal)
    assert reported.headers["Preference-Applied"] == "return=minimal"
    assert reported.json == {"id": created.json["id"], "status": "running", "progress": 5, "version": 2}
    refused: Any = runner.client.patch(path, json={"status": "pending"}, headers=minimal)
    assert (refused.status_code, refused.json["job"]["type"]) == (409, "report")
    assert "Preference-Applied" not in refused.headers


@pytest.mark.parametrize(
    ("preference", "is_minimal"),
    [
        ("return=minimal", True),
        ("RETURN = Minimal", True),
        ('respond-async, wait=10, return="minimal"; a=b', True),
        ("return=minimal, return=representation", True),
        ("return=representation, return=minimal", False),
        ("return", False),
        ("x-return=minimal", False),
        ("", False),
        (",;=", False),
    ],
)
def test_a_preference_is_read_as_its_standard_says(runner: Runner, preference: str, is_minimal: bool) -> None:
    job = runner.enqueue()
    headers = runner.headers | {"Prefer": preference}
    answer: Any = runner.client.patch(f"/api/v1/jobs/{job['id']}", json={}, headers=headers)
    assert (answer.status_code, "type" not in answer.json) == (200, is_minimal)
