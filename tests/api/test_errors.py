"""What a runner may rely on when it sends nonsense, comes without a key, or asks for what is not its own."""

import io
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.people import Cast
from tests.support.runner import Runner
from tests.support.servers import StartServer
from webapp.api.body import DISCARD_LIMIT
from webapp.core.audit import SYSTEM
from webapp.core.models import Scope
from webapp.core.workspaces import tokens

UNKNOWN = "01a20b7b-650a-7316-8168-f59ca773e1a3"
"""The id of no job."""


@pytest.fixture
def runner(client: FlaskClient, token: str) -> Runner:
    return Runner(client, token)


def assert_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    document: dict[str, Any] = answer.json
    assert document["status"] == status
    assert document["request_id"] == answer.headers["X-Request-Id"]
    return document


def api_calls(app: Flask) -> list[tuple[str, str]]:
    """Every method and address of the API that needs a token, with an id in the place of each variable."""
    return [
        (method, rule.rule.replace("<uuid:job_id>", UNKNOWN))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.endpoint != "api.show_document"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]


def test_every_call_is_401_without_a_token_and_with_a_wrong_or_revoked_one(app: Flask, token: str) -> None:
    with app.app_context():
        tokens.revoke_unchecked(token.split("_")[1], by=SYSTEM)
    for sent in (None, "cb_nobody_nothing", token, token + "x", "cb_", "nonsense"):
        headers = {"Authorization": f"Bearer {sent}"} if sent else {}
        for method, path in api_calls(app):
            answer = app.test_client().open(path, method=method, headers=headers, json={})
            assert_problem(answer, 401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_only_a_view_that_is_marked_public_answers_without_a_token(app: Flask) -> None:
    public = {
        rule.endpoint: rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and hasattr(app.view_functions[rule.endpoint], "is_public")
    }
    assert public == {"api.show_document": "/api/v1/openapi.json"}
    assert app.test_client().get("/api/v1/openapi.json").status_code == 200


def test_every_call_refuses_a_parameter_that_it_does_not_have(app: Flask, runner: Runner) -> None:
    job = runner.enqueue(type="t")
    bodies = {"/jobs": {"type": "t"}, "/jobs/batch": {"data": [{"id": job["id"]}]}, "/logs": {"lines": [{"text": "x"}]}}
    for method, path in [*api_calls(app), ("GET", "/api/v1/openapi.json")]:
        body = next((body for end, body in bodies.items() if path.endswith(end)), {})
        path = path.replace(UNKNOWN, job["id"])
        answer = app.test_client().open(f"{path}?stauts=failed", method=method, headers=runner.headers, json=body)
        errors = [{"pointer": "?stauts", "detail": "There is no such parameter."}]
        assert assert_problem(answer, 422)["errors"] == errors, (method, path)


def test_every_call_about_a_job_is_404_to_another_workspace(
    app: Flask, client: FlaskClient, cast: Cast, token: str
) -> None:
    job = Runner(client, token).enqueue(type="secret-type")
    with app.app_context():
        everything = tokens.create_unchecked(cast.other.id, "all", scopes=tuple(Scope), by=SYSTEM)[1]
    stranger = Runner(client, everything)
    for method, path in api_calls(app):
        if UNKNOWN not in path:
            continue
        path = path.replace(UNKNOWN, job["id"])
        body = {"lines": [{"text": "x"}]} if path.endswith("/logs") else {}
        answer = client.open(path, method=method, headers=stranger.headers, json=body)
        assert_problem(answer, 404)
        assert "secret-type" not in answer.text
    assert stranger.get("/jobs").json["data"] == []
    assert_problem(stranger.post("/jobs", {"type": "child", "parent_id": job["id"]}), 422)


def test_a_call_without_its_scope_is_403_before_anything_is_looked_up(
    app: Flask, client: FlaskClient, cast: Cast
) -> None:
    document: Any = client.get("/api/v1/openapi.json").json
    with app.app_context():
        keys = {scope: tokens.create_unchecked(cast.acme.id, scope, scopes=[scope], by=SYSTEM)[1] for scope in Scope}
    assert len(api_calls(app)) >= 6
    for method, path in api_calls(app):
        template = path.removeprefix("/api/v1").replace(UNKNOWN, "{job_id}")
        # What a call needs for some jobs alone stands behind what it needs in any case.
        needed = document["paths"][template][method.lower()]["description"].partition(".")[0]
        for scope, key in keys.items():
            headers = {"Authorization": f"Bearer {key}"}
            answer = client.open(path, method=method, headers=headers, data=b"not JSON")
            if f"`{scope}`" in needed:
                assert answer.status_code not in (401, 403), (method, path, scope)
            else:
                assert scope not in assert_problem(answer, 403)["detail"], (method, path, scope)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"type": "x"} trailing',
        b'{"type": "\xff"}',
        b'{"type": "\\ud800"}',
        b'{"payload": {"a": NaN}, "type": "x"}',
        b'{"payload": {"a": -Infinity}, "type": "x"}',
        b'{"payload": {"a": 1e999}, "type": "x"}',
        b'{"payload": {"a": 1' + b"0" * 400 + b'}, "type": "x"}',
        b'{"type": "x", "payload": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
        b'{"type": "x", "payload": {"a": ' + b"[" * 99 + b"]" * 99 + b"}}",
        '{"type": "x"}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_400(runner: Runner, raw: bytes) -> None:
    assert_problem(runner.send("POST", "/jobs", raw), 400)


def test_nesting_to_the_hundredth_level_is_taken(runner: Runner) -> None:
    raw = b'{"type": "x", "payload": {"a": ' + b"[" * 98 + b"]" * 98 + b"}}"
    assert runner.send("POST", "/jobs", raw).status_code == 201


def test_a_body_over_a_mebibyte_is_413_and_one_that_is_not_json_by_name_is_415(runner: Runner) -> None:
    assert_problem(runner.send("POST", "/jobs", b'{"type": "' + b"x" * 2 * 1024 * 1024 + b'"}'), 413)
    assert_problem(runner.send("POST", "/jobs", b'{"type": "x"}', "text/plain"), 415)


MEBIBYTE = 1024 * 1024


class Endless(io.BytesIO):
    """A body that never ends, and counts what was read of it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        assert (size or 0) > 0, "nobody can read it to its end"
        self.taken += size or 0
        return b" " * (size or 0)


def test_a_body_that_never_ends_is_read_up_to_a_bound(runner: Runner) -> None:
    body = Endless()
    assert_problem(chunked(runner, body), 413)
    assert body.taken < DISCARD_LIMIT + 2 * MEBIBYTE


def chunked(runner: Runner, raw: bytes | io.BytesIO) -> Any:
    """A body that does not tell its length ahead."""
    return runner.client.post(
        "/api/v1/jobs",
        input_stream=io.BytesIO(raw) if isinstance(raw, bytes) else raw,
        content_type="application/json",
        headers=runner.headers,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )


def test_a_body_in_chunks_is_taken_up_to_a_mebibyte_and_413_over_it(runner: Runner) -> None:
    whole = b'{"type": "x"}'
    assert chunked(runner, whole.ljust(MEBIBYTE)).status_code == 201
    assert_problem(chunked(runner, whole.ljust(MEBIBYTE + 1)), 413)
    assert_problem(chunked(runner, whole.ljust(3 * MEBIBYTE)), 413)
    assert runner.send("POST", "/jobs", whole.ljust(MEBIBYTE)).status_code == 201
    assert_problem(runner.send("POST", "/jobs", whole.ljust(MEBIBYTE + 1)), 413)


def test_a_real_server_hands_over_a_body_in_chunks(server: StartServer, token: str) -> None:
    (address,) = server()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for size, status in ((20, 201), (2 * MEBIBYTE, 413)):
        body = b'{"type": "x"}'.ljust(size)
        pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
        assert httpx.post(f"{address}/api/v1/jobs", content=pieces, headers=headers).status_code == status


@pytest.mark.parametrize("raw", [b"null", b"[]", b"5", b'"x"'])
def test_json_that_is_no_object_is_422(runner: Runner, raw: bytes) -> None:
    assert_problem(runner.send("POST", "/jobs", raw), 422)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/type"]),
        ({"type": ""}, ["/type"]),
        ({"type": "x" * 201}, ["/type"]),
        ({"type": "a\0b"}, ["/type"]),
        ({"type": None}, ["/type"]),
        ({"type": "x", "payload": []}, ["/payload"]),
        ({"type": "x", "payload": {"a": "\0"}}, ["/payload"]),
        ({"type": "x", "payload": {"a": "x" * 262_144}}, ["/payload"]),
        ({"type": "x", "link": "javascript:alert(1)"}, ["/link"]),
        ({"type": "x", "tags": ["ok", "", 5]}, ["/tags/1", "/tags/2"]),
        ({"type": "x", "tags": ["t"] * 21}, ["/tags"]),
        ({"type": "x", "max_duration": 0, "heartbeat_timeout": 2_592_001}, ["/max_duration", "/heartbeat_timeout"]),
        ({"type": "x", "workspace_id": "y", "sta/tus": 1}, ["/workspace_id", "/sta~1tus"]),
        ({"type": "x", "parent_id": UNKNOWN}, ["/parent_id"]),
    ],
)
def test_a_new_job_with_faults_is_422_and_names_them_all(
    runner: Runner, body: dict[str, Any], pointers: list[str]
) -> None:
    document = assert_problem(runner.post("/jobs", body), 422)
    assert [fault["pointer"] for fault in document["errors"]] == pointers


@pytest.mark.parametrize("progress", [101, -1, True, "50", 1.5, None])
def test_progress_that_is_no_percentage_is_422(runner: Runner, progress: Any) -> None:
    job = runner.enqueue()
    document = assert_problem(runner.report(job, status="running", progress=progress), 422)
    assert document["errors"][0]["pointer"] == "/progress"
    assert runner.get(f"/jobs/{job['id']}").json["status"] == "pending"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"status": "done"}, ["/status"]),
        ({"status": None}, ["/status"]),
        ({"error": "x"}, ["/error"]),
        ({"status": "completed", "error": "x"}, ["/error"]),
        ({"status": "failed", "result": {}}, ["/result"]),
        ({"status": "canceled", "result": {}}, ["/result"]),
        ({"progress": 101, "error": "x", "extra": 1}, ["/progress", "/extra", "/error"]),
        ({"error": 5}, ["/error"]),
        ({"status": "failed", "result": []}, ["/result"]),
        ({"occurred_at": "yesterday"}, ["/occurred_at"]),
        ({"occurred_at": "2026-11-24T14:00:00"}, ["/occurred_at"]),
        ({"occurred_at": 5}, ["/occurred_at"]),
        ({"message": 5}, ["/message"]),
    ],
)
def test_a_report_with_faults_is_422_and_names_them_all(
    runner: Runner, body: dict[str, Any], pointers: list[str]
) -> None:
    job = runner.enqueue()
    document = assert_problem(runner.patch(f"/jobs/{job['id']}", body), 422)
    assert [fault["pointer"] for fault in document["errors"]] == pointers


EVERYTHING_WRONG = [
    ("POST", "/jobs", {"type": "", "x": 1}, ["/type", "/x", "/Idempotency-Key", "?dry", "?x"]),
    ("POST", "/jobs", [], ["", "/Idempotency-Key", "?dry", "?x"]),
    ("POST", "/jobs", {"type": "x"}, ["/Idempotency-Key", "?dry", "?x"]),
    ("POST", f"/jobs/{UNKNOWN}/logs", {"lines": [{}]}, ["/lines/0/text", "/Idempotency-Key", "?dry", "?x"]),
    ("PATCH", f"/jobs/{UNKNOWN}", {"progress": 101}, ["/progress", "?dry", "?x"]),
    ("POST", "/jobs/batch", {"data": []}, ["/data", "?dry", "?x"]),
    ("GET", "/jobs", None, ["?dry", "?x"]),
    ("GET", f"/jobs/{UNKNOWN}", None, ["?dry", "?x"]),
]


@pytest.mark.parametrize(("method", "path", "body", "pointers"), EVERYTHING_WRONG)
def test_faults_of_the_body_of_its_key_and_of_the_query_are_told_at_once(
    runner: Runner, method: str, path: str, body: Any, pointers: list[str]
) -> None:
    headers = runner.headers | {"Idempotency-Key": "k" * 201}
    answer = runner.client.open(f"/api/v1{path}?dry=1&x=2", method=method, json=body, headers=headers)
    assert [fault["pointer"] for fault in assert_problem(answer, 422)["errors"]] == pointers
    assert runner.get("/jobs").json["data"] == []


def test_a_rejected_value_is_never_echoed(runner: Runner) -> None:
    answer = runner.post("/jobs", {"type": 5, "link": "ftp://s3cret", "parent_id": "s3cret", "tags": "s3cret"})
    assert len(assert_problem(answer, 422)["errors"]) == 4
    assert "s3cret" not in answer.text


def test_a_422_is_not_the_runners_hearing_of_a_cancel(app: Flask, client: FlaskClient, cast: Cast) -> None:
    with app.app_context():
        runner = Runner(client, tokens.create_unchecked(cast.acme.id, "all", scopes=tuple(Scope), by=SYSTEM)[1])
    job = runner.enqueue()
    runner.post(f"/jobs/{job['id']}/cancel")
    assert_problem(runner.report(job, progress=101), 422)
    assert runner.get(f"/jobs/{job['id']}").json["cancel_seen_at"] is None


def test_long_errors_and_messages_are_cut_and_nul_in_an_error_is_replaced(runner: Runner) -> None:
    job = runner.enqueue()
    record = runner.report(job, status="failed", error="\0" + "é" * 65_536, message="m" * 600).json
    assert record["error"].startswith("\ufffdé")
    assert record["error"].endswith("… [cut]")
    assert len(record["error"].encode()) <= 65_536
    assert len(record["message"]) == 500
    assert runner.report(job, status="failed", error="\0" + "é" * 65_536, message="m" * 600).status_code == 200


def test_unknown_addresses_and_methods_are_json_with_and_without_a_token(runner: Runner, client: FlaskClient) -> None:
    assert_problem(client.get("/api/v1/nothing"), 404)
    assert_problem(client.get("/api/"), 404)
    assert_problem(runner.get("/jobs/not-a-uuid"), 404)
    assert_problem(runner.send("DELETE", "/jobs", b""), 405)
    assert_problem(runner.get("/openapi.json?x=1"), 422)


def test_options_tell_the_methods_of_an_address_without_content(runner: Runner, client: FlaskClient) -> None:
    for path, methods in (("/jobs", {"GET", "HEAD", "OPTIONS", "POST"}), ("/openapi.json", {"GET", "HEAD", "OPTIONS"})):
        answer = runner.send("OPTIONS", path, b"")
        assert (answer.status_code, answer.text) == (204, "")
        assert set(answer.headers["Allow"].split(", ")) == methods
        assert "Content-Type" not in answer.headers
    assert client.options("/api/docs").status_code == 204
    assert_problem(client.options("/api/v1/jobs"), 401)
    assert_problem(client.options("/api/v1/nothing"), 404)


def test_a_sane_request_id_is_taken_over_and_another_replaced(runner: Runner) -> None:
    assert runner.get("/jobs", **{"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    for odd in ("", "with space", "x" * 129):
        assert runner.get("/jobs", **{"X-Request-Id": odd}).headers["X-Request-Id"] not in ("", odd)
