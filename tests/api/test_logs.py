"""What a runner may rely on when it sends the lines of its log over HTTP, and reads them again."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from tests.support.jobs import OPERATOR, job_in
from tests.support.people import Cast
from tests.support.runner import Runner
from tests.support.servers import StartServer
from webapp.core import jobs
from webapp.core.clock import to_iso
from webapp.core.jobs import logs

UNKNOWN = "01a20b7b-650a-7316-8168-f59ca773e1a3"
"""The id of no job."""


@pytest.fixture
def runner(client: FlaskClient, token: str) -> Runner:
    return Runner(client, token)


@pytest.fixture
def job(runner: Runner) -> dict[str, Any]:
    return runner.enqueue()


def append(runner: Runner, job: dict[str, Any], *lines: Any, key: str | None = None) -> Any:
    """Send lines; a text stands for a line with nothing else."""
    headers = runner.headers | ({} if key is None else {"Idempotency-Key": key})
    sent = [{"text": line} if isinstance(line, str) else line for line in lines]
    return runner.client.post(f"/api/v1/jobs/{job['id']}/logs", json={"lines": sent}, headers=headers)


def read(runner: Runner, job: dict[str, Any], query: str = "") -> Any:
    return runner.get(f"/jobs/{job['id']}/logs{query}")


def texts(runner: Runner, job: dict[str, Any]) -> list[str]:
    return [line["text"] for line in read(runner, job).json["data"]]


def pointers(answer: Any) -> list[str]:
    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    return [fault["pointer"] for fault in answer.json["errors"]]


# --- append ------------------------------------------------------------------------------------------------------


def test_lines_are_answered_with_the_number_to_read_on_after(runner: Runner, job: dict[str, Any]) -> None:
    answer = append(runner, job, "one", "two")
    assert (answer.status_code, answer.json) == (200, {"next_after": 2})
    assert "Idempotent-Replayed" not in answer.headers
    assert append(runner, job, "three").json == {"next_after": 3}


def test_up_to_five_hundred_lines_come_at_a_time(runner: Runner, job: dict[str, Any]) -> None:
    assert append(runner, job, *["x"] * 500).json == {"next_after": 500}
    assert pointers(append(runner, job, *["x"] * 501)) == ["/lines"]
    assert pointers(append(runner, job)) == ["/lines"]


def test_every_fault_is_named_and_nothing_is_appended(runner: Runner, job: dict[str, Any]) -> None:
    faulty = {"text": 5, "level": "fatal", "at": "yesterday", "seq": 1}
    answer = append(runner, job, "fine", faulty)
    assert pointers(answer) == ["/lines/1/text", "/lines/1/level", "/lines/1/at", "/lines/1/seq"]
    assert "yesterday" not in answer.text
    assert pointers(runner.post(f"/jobs/{job['id']}/logs", {"lines": [{"text": "x"}], "more": 1})) == ["/more"]
    assert texts(runner, job) == []


def test_what_a_process_may_print_arrives_mended_and_cut(runner: Runner, job: dict[str, Any]) -> None:
    raw = b'{"lines": [{"text": "a\\u0000b \\ud83d\\ude00"}, {"text": "' + b"x" * 20_000 + b'"}]}'
    assert runner.send("POST", f"/jobs/{job['id']}/logs", raw).status_code == 200
    mended, cut = texts(runner, job)
    assert mended == "a\ufffdb 😀"
    assert cut.endswith("x… [cut]")
    assert len(cut.encode()) == 16_384


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"lines": [{"text": "\xff"}]}', b'{"lines": NaN}', b'{"lines": [{"text": "\\ud800"}]}']
)
def test_what_is_not_json_is_400(runner: Runner, job: dict[str, Any], raw: bytes) -> None:
    assert runner.send("POST", f"/jobs/{job['id']}/logs", raw).status_code == 400


def test_a_level_is_one_of_four_words_or_none(runner: Runner, job: dict[str, Any]) -> None:
    levels = ["debug", "info", "warning", "error", None]
    append(runner, job, *[{"text": "x", "level": level} for level in levels], "x")
    assert [line["level"] for line in read(runner, job).json["data"]] == [*levels, None]


def test_a_late_line_keeps_its_time_between_the_jobs_creation_and_now(
    runner: Runner, app: Flask, clock: Clock, cast: Cast
) -> None:
    with app.app_context():
        job = {"id": str(jobs.enqueue_job("t", cast.acme.id))}
    created = to_iso(clock.now())
    now = clock.advance(hours=2)
    late = now - timedelta(hours=1)
    append(
        runner,
        job,
        {"text": "with a zone", "at": late.isoformat().replace("+00:00", "Z")},
        {"text": "too early", "at": "2020-01-01T00:00:00Z"},
        {"text": "in the future", "at": "2999-01-01T00:00:00+02:00"},
        "now",
    )
    times = [line["at"] for line in read(runner, job).json["data"]]
    assert times == [to_iso(late), created, to_iso(now), to_iso(now)]


def test_a_canceled_job_takes_its_last_words_and_has_not_heard(
    runner: Runner, app: Flask, cast: Cast, job: dict[str, Any]
) -> None:
    runner.report(job, status="running")
    with app.app_context():
        jobs.cancel_job(uuid.UUID(job["id"]), by=OPERATOR)
    before = runner.get(f"/jobs/{job['id']}").json
    assert append(runner, job, "closing files").json == {"next_after": 1}
    assert runner.get(f"/jobs/{job['id']}").json == before
    assert before["cancel_seen_at"] is None


def test_lines_are_a_sign_of_life_and_show_in_the_jobs_etag(
    runner: Runner, app: Flask, cast: Cast, clock: Clock
) -> None:
    with app.app_context():
        job = {"id": str(job_in("running", cast.acme).id)}
    held = {"If-None-Match": runner.get(f"/jobs/{job['id']}").headers["ETag"]}
    clock.advance(seconds=7)
    append(runner, job, "x")
    again = runner.get(f"/jobs/{job['id']}", **held)
    assert again.status_code == 200
    assert again.json["last_seen_at"] == to_iso(clock.now())


# --- read --------------------------------------------------------------------------------------------------------


def test_a_line_is_told_whole_and_only_lines_after_the_number_are(runner: Runner, job: dict[str, Any]) -> None:
    append(runner, job, {"text": "one", "level": "warning", "at": job["created_at"]}, "two", "three")
    answer = read(runner, job)
    assert answer.status_code == 200
    assert answer.json["data"][0] == {"seq": 1, "at": job["created_at"], "level": "warning", "text": "one"}
    assert answer.json["next_after"] == 3
    later = read(runner, job, "?after=2").json
    assert ([line["text"] for line in later["data"]], later["next_after"]) == (["three"], 3)
    assert read(runner, job, "?after=3").json == {"data": [], "next_after": 3}


def test_a_job_without_lines_has_an_empty_log(runner: Runner, job: dict[str, Any]) -> None:
    assert read(runner, job).json == {"data": [], "next_after": 0}


def test_pages_of_a_thousand_lines_meet_without_a_gap(runner: Runner, job: dict[str, Any]) -> None:
    for begin in (0, 500, 1000):
        append(runner, job, *[str(number) for number in range(begin, begin + 500)])
    first = read(runner, job).json
    assert (len(first["data"]), first["next_after"]) == (1000, 1000)
    second = read(runner, job, f"?after={first['next_after']}").json
    assert [line["text"] for line in first["data"] + second["data"]] == [str(number) for number in range(1500)]
    assert second["next_after"] == 1500


def test_the_first_line_after_a_gap_says_how_many_lines_are_gone(
    runner: Runner, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_LINES", 3)
    assert append(runner, job, *"abcdefgh").json == {"next_after": 8}
    lines = read(runner, job).json["data"]
    assert [(line["text"], line.get("dropped")) for line in lines] == [("f", 5), ("g", None), ("h", None)]
    assert read(runner, job, "?after=4").json["data"][0]["dropped"] == 1
    assert "dropped" not in read(runner, job, "?after=5").json["data"][0]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?before=1", "?before"),
        ("?limit=5", "?limit"),
        ("?after=", "?after"),
        ("?after=x", "?after"),
        ("?after=-1", "?after"),
        ("?after=1.5", "?after"),
        ("?after=٣", "?after"),
        ("?after=2147483648", "?after"),
        ("?after=99999999999", "?after"),
        ("?after=1&after=2", "?after"),
    ],
)
def test_a_query_that_means_nothing_is_422(runner: Runner, job: dict[str, Any], query: str, pointer: str) -> None:
    assert pointers(read(runner, job, query)) == [pointer]


def test_an_append_has_no_query(runner: Runner, job: dict[str, Any]) -> None:
    assert pointers(runner.post(f"/jobs/{job['id']}/logs?after=1", {"lines": [{"text": "x"}]})) == ["?after"]


def test_an_unknown_job_and_anothers_are_404(
    runner: Runner, client: FlaskClient, other_token: str, job: dict[str, Any]
) -> None:
    append(runner, job, "secret")
    stranger = Runner(client, other_token)
    for caller, its_job in ((runner, {"id": UNKNOWN}), (stranger, job)):
        for answer in (read(caller, its_job), append(caller, its_job, "x", key="k")):
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")
            assert "secret" not in answer.text
    assert texts(runner, job) == ["secret"]


# --- once --------------------------------------------------------------------------------------------------------


def test_the_same_request_again_appends_nothing_and_answers_the_same(runner: Runner, job: dict[str, Any]) -> None:
    first = append(runner, job, {"text": "a", "level": "info"}, "b", key="part 1")
    assert "Idempotent-Replayed" not in first.headers
    append(runner, job, "c", key="part 2")
    again = append(runner, job, {"level": "info", "text": "a"}, "b", key="part 1")
    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert texts(runner, job) == ["a", "b", "c"]


def test_another_body_under_a_used_key_is_refused(runner: Runner, job: dict[str, Any]) -> None:
    append(runner, job, "a", key="k")
    for lines in (["b"], ["a", "a"], [{"text": "a", "level": "info"}]):
        answer = append(runner, job, *lines, key="k")
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
        assert answer.json["errors"][0]["pointer"] == "/Idempotency-Key"
    assert texts(runner, job) == ["a"]


def test_a_key_is_unique_within_its_job_and_outlasts_its_lines(
    runner: Runner, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_LINES", 2)
    append(runner, job, "a", key="k")
    assert append(runner, runner.enqueue(), "b", key="k").json == {"next_after": 1}
    append(runner, job, "c", "d")
    runner.report(job, status="running")
    runner.report(job, status="completed")
    assert append(runner, job, "a", key="k").headers["Idempotent-Replayed"] == "true"
    assert texts(runner, job) == ["c", "d"]


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_has_1_to_200_characters(runner: Runner, job: dict[str, Any], key: str) -> None:
    assert pointers(append(runner, job, "a", key=key)) == ["/Idempotency-Key"]
    assert append(runner, job, "a", key="k" * 200).status_code == 200
    assert texts(runner, job) == ["a"]


def test_a_refused_request_leaves_its_key_free(runner: Runner, job: dict[str, Any]) -> None:
    assert append(runner, job, {"text": 5}, key="k").status_code == 422
    assert append(runner, job, "five", key="k").json == {"next_after": 1}


def test_of_twenty_equal_requests_at_once_over_two_processes_one_appends(server: StartServer, token: str) -> None:
    addresses = server(2)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    with httpx.Client(base_url=addresses[0], headers=headers, timeout=30) as client, ThreadPoolExecutor(20) as threads:
        for round in range(3):
            # On a log that is new, and on one that has lines: there is a row to lock only for the second.
            job = client.post("/api/v1/jobs", json={"type": "t"}, headers={"Idempotency-Key": str(round)}).json()
            path = f"/api/v1/jobs/{job['id']}/logs"
            for key in ("first", "second"):
                body = {"lines": [{"text": f"{key} {number}"} for number in range(50)]}
                answers = list(
                    threads.map(
                        lambda number, path=path, key=key, body=body: client.post(
                            addresses[number % 2] + path, json=body, headers={"Idempotency-Key": key}
                        ),
                        range(20),
                    )
                )
                assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
                assert {json.dumps(answer.json()) for answer in answers} == {
                    json.dumps({"next_after": 50 if key == "first" else 100})
                }
                assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
            lines = client.get(path).json()["data"]
            assert [line["seq"] for line in lines] == list(range(1, 101))
