"""A runner that did not hear the answer asks again: the job is made once, and the answer is the same job."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from tests.support.people import Cast
from tests.support.runner import Runner
from tests.support.servers import StartServer
from webapp.core import jobs
from webapp.core.database.session import db


@pytest.fixture
def runner(client: FlaskClient, token: str) -> Runner:
    return Runner(client, token)


def enqueue(runner: Runner, key: str, **body: Any) -> Any:
    headers = runner.headers | {"Idempotency-Key": key}
    return runner.client.post("/api/v1/jobs", json={"type": "report"} | body, headers=headers)


def test_the_same_request_again_is_answered_with_the_same_job_as_it_stands(runner: Runner) -> None:
    first = enqueue(runner, "order-7", payload={"a": 1, "b": 2})
    assert (first.status_code, "Idempotent-Replayed" in first.headers) == (201, False)
    runner.report(first.json, status="running", progress=30)
    again = enqueue(runner, "order-7", payload={"b": 2.0, "a": 1})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.headers["Location"] == first.headers["Location"]
    assert (again.json["id"], again.json["progress"]) == (first.json["id"], 30)
    assert len(runner.get("/jobs").json["data"]) == 1


def test_another_body_under_a_used_key_is_refused_and_makes_nothing(runner: Runner) -> None:
    enqueue(runner, "order-7", payload={"a": 1})
    for body in ({"payload": {"a": 2}}, {"payload": {"a": True}}, {}):
        answer = enqueue(runner, "order-7", **body)
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
        assert answer.json["errors"][0]["pointer"] == "/Idempotency-Key"
    assert len(runner.get("/jobs").json["data"]) == 1


def test_a_key_is_known_in_its_own_workspace_alone(runner: Runner, client: FlaskClient, other_token: str) -> None:
    first = enqueue(runner, "order-7")
    elsewhere = enqueue(Runner(client, other_token), "order-7", payload={"another": "body"})
    assert elsewhere.status_code == 201
    assert elsewhere.json["id"] != first.json["id"]


def test_when_a_request_was_meant_to_arrive_makes_no_other_of_it(runner: Runner) -> None:
    first = enqueue(runner, "order-7")
    for moment in ("2026-11-24T11:00:00Z", "2026-11-24T11:00:01Z"):
        again = enqueue(runner, "order-7", occurred_at=moment)
        assert (again.status_code, again.json["created_at"]) == (200, first.json["created_at"])


KEY_RULE = {"pointer": "/Idempotency-Key", "detail": "1 to 200 printable ASCII characters."}


@pytest.mark.parametrize("key", ["", "k" * 201, "tab\there", "größe", "größe".encode().decode("latin-1"), "k\xa0"])
def test_a_key_that_is_none_is_422_and_makes_nothing(runner: Runner, key: str) -> None:
    answer = enqueue(runner, key)
    assert (answer.status_code, answer.json["errors"]) == (422, [KEY_RULE])
    assert runner.get("/jobs").json["data"] == []
    assert enqueue(runner, "k" * 200).status_code == 201


def test_a_request_that_was_refused_does_not_use_its_key_up(runner: Runner) -> None:
    assert enqueue(runner, "order-7", parent_id="0193a000-0000-7000-8000-000000000001").status_code == 422
    assert enqueue(runner, "order-7").status_code == 201


def test_a_key_is_as_good_years_later_and_after_its_job_has_ended(clock: Clock, runner: Runner) -> None:
    first = enqueue(runner, "order-7")
    log = f"/api/v1/jobs/{first.json['id']}/logs"
    headers = runner.headers | {"Idempotency-Key": "lines-1"}
    runner.client.post(log, json={"lines": [{"text": "once"}]}, headers=headers)
    runner.report(first.json, status="running")
    runner.report(first.json, status="completed")
    clock.advance(days=1000)
    again = enqueue(runner, "order-7")
    assert (again.status_code, again.json["id"], again.json["status"]) == (200, first.json["id"], "completed")
    assert enqueue(runner, "order-7", payload={"another": "body"}).json["code"] == "idempotency_key_reused"
    appended = runner.client.post(log, json={"lines": [{"text": "once"}]}, headers=headers)
    assert (appended.status_code, appended.headers["Idempotent-Replayed"]) == (200, "true")


def test_a_key_goes_with_its_job(runner: Runner, app: Flask) -> None:
    first = enqueue(runner, "order-7")
    with app.app_context():
        db.session.delete(jobs.get_job_status(uuid.UUID(first.json["id"])))
        db.session.commit()
    second = enqueue(runner, "order-7", payload={"another": "body"})
    assert second.status_code == 201
    assert second.json["id"] != first.json["id"]


def test_twenty_equal_requests_at_once_over_two_processes_make_one_job(
    app: Flask, cast: Cast, token: str, server: StartServer
) -> None:
    addresses = server(2)

    def send(n: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"round-{n // 20}"}
        body = {"type": "report", "payload": {"round": n // 20}}
        return httpx.post(f"{addresses[n % 2]}/api/v1/jobs", json=body, headers=headers, timeout=30)

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(send, range(100)))
    for start in range(0, 100, 20):
        of_round = answers[start : start + 20]
        assert len({answer.json()["id"] for answer in of_round}) == 1
        assert sorted(answer.status_code for answer in of_round) == [200] * 19 + [201]


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_a_real_server_tells_the_rule_of_a_key_however_its_bytes_are_to_be_read(
    token: str, server: StartServer
) -> None:
    [address] = server()
    headers = {b"Authorization": f"Bearer {token}".encode()}
    with httpx.Client(base_url=address) as client:
        for key, status in ((b"~ order!", 201), ("größe".encode(), 422), (b"gr\xf6\xdfe", 422), (b"\xff", 422)):
            answer = client.post("/api/v1/jobs", json={"type": "x"}, headers=headers | {b"Idempotency-Key": key})
            assert answer.status_code == status, answer.text
            assert status == 201 or answer.json()["errors"] == [KEY_RULE]
