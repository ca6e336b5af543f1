"""The page of a job that is large in any way stays small: its beginning or its end, and a link to the whole."""

import html
import json
import re
import uuid
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import RUNNER, add_events, job_in
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.jobs import logs, read
from webapp.core.jobs.inputs import NewLines
from webapp.dashboard.filters import MAX_JSON_LENGTH, cut_json, format_json
from webapp.dashboard.jobs import detail


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    sign_in(client, "ben@example.com")
    return client


def nested(levels: int, numbers: int) -> dict[str, Any]:
    """An object around lists in lists, the innermost of so many numbers."""
    value: Any = [1] * numbers
    for _ in range(levels - 2):
        value = [value]
    return {"deep": value}


def made(app: Flask, cast: Cast, **fields: Any) -> uuid.UUID:
    with app.app_context():
        job_id = jobs.enqueue_job("report", cast.acme.id, fields.get("payload"), by=RUNNER)
        jobs.update_job_status(job_id, status="running", result=fields.get("result"), by=RUNNER)
    return job_id


# --- payload and result ------------------------------------------------------------------------------------------


def test_json_that_is_too_long_to_show_is_cut_without_being_laid_out_whole() -> None:
    assert cut_json({"a": 1}) is None
    value = nested(97, 130_000)
    beginning = cut_json(value)
    assert beginning is not None
    assert len(beginning) == MAX_JSON_LENGTH
    assert format_json({"text": "é" * 60_000}).startswith(cut_json({"text": "é" * 60_000}) or "-")


def test_what_is_nested_deep_is_shown_in_part_with_a_link_to_the_whole(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    payload, result = nested(97, 130_000), {"text": '"' * 130_000}
    path = f"/w/acme/jobs/{made(app, cast, payload=payload, result=result)}"
    page = ben.get(path)
    assert len(page.data) < 700_000
    for name, value in (("payload", payload), ("result", result)):
        assert f'href="{path}/{name}.json"' in page.text
        assert f'id="copy-{name}"' not in page.text
        whole = ben.get(f"{path}/{name}.json")
        assert (json.loads(whole.text), whole.mimetype) == (value, "application/json")
        assert whole.headers["Content-Disposition"].startswith("attachment")


def test_what_is_short_is_shown_whole_and_is_there_to_copy(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    path = f"/w/acme/jobs/{made(app, cast, payload={'rows': [1, 2]})}"
    page = ben.get(path).text
    assert 'id="copy-payload"' in page
    assert "payload.json" not in page
    assert ben.get(f"{path}/result.json").status_code == 404
    assert ben.get(f"{path}/error.json").status_code == 404


def test_a_payload_of_another_workspace_is_not_found(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    with app.app_context():
        elsewhere = jobs.enqueue_job("report", cast.other.id, {"secret": 1})
    for name in ("payload.json", "result.json", "log.txt", "history"):
        assert ben.get(f"/w/acme/jobs/{elsewhere}/{name}").status_code == 404


def test_a_poll_sends_payload_and_result_only_to_a_page_that_lacks_them(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    job_id = made(app, cast, payload={"given": "p" * 50}, result={"so far": "r" * 50})
    page = ben.get(f"/w/acme/jobs/{job_id}").text
    places = re.findall(r'<div id="([\w-]+)" data-held hx-morph-skip>', page)
    assert len(places) == 2
    address = f"/w/acme/jobs/{job_id}/panel"

    def poll(*held: str) -> Any:
        return ben.get(address, headers={"HX-Request": "true", "Board-Holds": " ".join(held)})

    assert "p" * 50 in poll().text
    assert "r" * 50 in poll().text
    again = poll(*places)
    assert "p" * 50 not in again.text
    assert "r" * 50 not in again.text
    assert re.findall(r'<div id="([\w-]+)" data-held hx-morph-skip>', again.text) == places
    assert "Board-Holds" in again.headers["Vary"]
    with app.app_context():
        jobs.update_job_status(job_id, result={"so far": "s" * 50}, by=RUNNER)
    changed = poll(*places).text
    assert "s" * 50 in changed
    assert "p" * 50 not in changed
    assert re.findall(r'<div id="([\w-]+)" data-held hx-morph-skip>', changed)[0] not in places


# --- the history -------------------------------------------------------------------------------------------------


def test_a_long_history_shows_its_end_and_leads_to_the_rest(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail, "EVENTS_SHOWN", 5)
    monkeypatch.setattr(detail, "HISTORY_PAGE_SIZE", 6)
    job_id = made(app, cast)
    assert "earlier-events" not in ben.get(f"/w/acme/jobs/{job_id}").text
    with app.app_context():
        add_events(job_id, 10)
    for path in (f"/w/acme/jobs/{job_id}", f"/w/acme/jobs/{job_id}/panel"):
        text = ben.get(path).text
        assert re.findall(r"event (\d+)</span>", text) == ["5", "6", "7", "8", "9"]
        assert re.search(r'href="[^"]+/history">\s*7 earlier</a>', text)
        assert re.findall(r'<li id="(event-\d+)"', text) == [f"event-{n}" for n in range(8, 13)]
    numbers, path = [], f"/w/acme/jobs/{job_id}/history"
    for _ in range(2):
        page = ben.get(path).text
        numbers += re.findall(r'<li id="event-(\d+)"', page)
        later = re.search(r'href="([^"]+)">Later</a>', page)
        path = html.unescape(later[1]) if later else ""
    assert (numbers, path) == ([str(n) for n in range(1, 13)], "")


def test_a_page_does_not_grow_with_ten_thousand_events(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "EVENT_COUNT_CAP", 9_000)
    job_id = made(app, cast)
    with app.app_context():
        add_events(job_id, 10_000)
    panel = ben.get(f"/w/acme/jobs/{job_id}/panel")
    assert len(panel.data) < 40_000
    assert "9,000+ earlier" in panel.text
    assert len(ben.get(f"/w/acme/jobs/{job_id}/history?after=9900").data) < 80_000
    for nonsense in ("-5", "x", "99999999999999999999", ""):
        assert ben.get(f"/w/acme/jobs/{job_id}/history?after={nonsense}").status_code == 200


# --- the log -----------------------------------------------------------------------------------------------------


def test_a_log_that_is_shown_in_part_is_there_to_take_home(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail, "LOG_LINES", 3)
    with app.app_context():
        job_id = job_in("running", cast.acme).id
        logs.append(job_id, NewLines.parse({"lines": [{"text": f"line {n}"} for n in range(7)]}), within=None)
    path = f"/w/acme/jobs/{job_id}"
    assert f'href="{path}/log.txt"' in ben.get(path).text
    whole = ben.get(f"{path}/log.txt")
    assert [line.partition(" ")[2] for line in whole.text.splitlines()] == [f"line {n}" for n in range(7)]
    assert whole.headers["Content-Disposition"].startswith("attachment")
