"""The history and the log of a job over the API: page by page, in order, and no answer without a bound."""

import uuid
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import add_events
from tests.support.people import Cast
from tests.support.runner import Runner
from webapp.core.jobs import listing, logs


@pytest.fixture
def runner(client: FlaskClient, token: str) -> Runner:
    return Runner(client, token)


def flapping(app: Flask, runner: Runner, events: int) -> dict[str, Any]:
    """A job with so many events."""
    job = runner.enqueue()
    with app.app_context():
        add_events(uuid.UUID(job["id"]), events - 1)
    return job


def test_a_short_history_is_one_page(runner: Runner) -> None:
    job = runner.enqueue()
    answer = runner.get(f"/jobs/{job['id']}/events").json
    assert [event["id"] for event in answer["data"]] == [1]
    assert answer["next_cursor"] is None


def test_a_long_history_has_every_event_once_in_order_over_its_pages(app: Flask, runner: Runner) -> None:
    job = flapping(app, runner, 1_203)
    path, events, sizes = f"/jobs/{job['id']}/events", [], []
    query = "?limit=500"
    while query:
        page = runner.get(path + query).json
        events += page["data"]
        sizes.append(len(page["data"]))
        query = page["next_cursor"] and f"?cursor={page['next_cursor']}"
    assert sizes == [500, 500, 203]
    assert [event["id"] for event in events] == list(range(1, 1_204))
    assert [event["message"] for event in events[1:]] == [f"event {n}" for n in range(1_202)]
    assert runner.get(path).json["data"] == events[:500]


def test_a_page_of_exactly_the_rest_is_the_last_one(app: Flask, runner: Runner) -> None:
    path = f"/jobs/{flapping(app, runner, 4)['id']}/events"
    first = runner.get(f"{path}?limit=2").json
    assert first["next_cursor"]
    last = runner.get(f"{path}?limit=2&cursor={first['next_cursor']}").json
    assert ([event["id"] for event in last["data"]], last["next_cursor"]) == ([3, 4], None)
    assert runner.get(f"{path}?cursor=4").json == {"data": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "?limit"),
        ("limit=501", "?limit"),
        ("limit=many", "?limit"),
        ("cursor=-1", "?cursor"),
        ("cursor=x", "?cursor"),
        ("cursor=9999999999", "?cursor"),
        ("after=1", "?after"),
    ],
)
def test_a_query_that_means_nothing_is_422(runner: Runner, query: str, pointer: str) -> None:
    answer = runner.get(f"/jobs/{runner.enqueue()['id']}/events?{query}")
    assert (answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]) == (422, [pointer])


def test_a_page_of_jobs_with_long_errors_ends_sooner_and_goes_on(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "ERRORS_SIZE", 100)
    ids = []
    for error in ("x" * 58, "x" * 50, "é" * 90, "x", "x"):
        job = runner.enqueue()
        runner.report(job, status="failed", error=error)
        ids.append(job["id"])
    pages: list[list[str]] = []
    cursor = None
    while not pages or cursor:
        page = runner.get("/jobs?limit=3" + (f"&cursor={cursor}" if cursor else "")).json
        pages.append([job["id"] for job in page["data"]])
        cursor = page["next_cursor"]
    newest_first = ids[::-1]
    assert pages == [newest_first[:2], newest_first[2:3], newest_first[3:4], newest_first[4:]]


def test_a_page_of_long_lines_ends_sooner_and_goes_on(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_PAGE_SIZE", 100)
    path = f"/jobs/{runner.enqueue()['id']}/logs"
    runner.post(path, {"lines": [{"text": text} for text in ("a" * 60, "b" * 50, "é" * 90, "d", "e")]})
    pages, after = [], 0
    while (page := runner.get(f"{path}?after={after}").json)["data"]:
        pages.append([line["text"][0] for line in page["data"]])
        after = page["next_after"]
    assert pages == [["a"], ["b"], ["é"], ["d", "e"]]


def test_a_log_is_read_whole_as_text(app: Flask, cast: Cast, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_PAGE_SIZE", 100)
    path = f"/jobs/{runner.enqueue()['id']}/logs"
    assert runner.get(f"{path}.txt").text == ""
    lines = [{"text": f"line {n} {'x' * 30}", "level": "warning" if n % 2 else None} for n in range(9)]
    runner.post(path, {"lines": lines})
    answer = runner.get(f"{path}.txt")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    at = runner.get(path).json["data"][0]["at"]
    assert answer.text.splitlines() == [f"{at}{' warning' if line['level'] else ''} {line['text']}" for line in lines]
    assert runner.get(f"/jobs/{uuid.uuid4()}/logs.txt").status_code == 404
