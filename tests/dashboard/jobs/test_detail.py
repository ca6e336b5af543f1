"""The page of one job: what stands beside it, its children, and JSON that folds."""

import html
import json
import re
import uuid
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from tests.support.jobs import RUNNER
from tests.support.pages import sign_in
from tests.support.people import Cast
from tests.support.statements import record_statements
from webapp.core import jobs
from webapp.dashboard.filters import MAX_FOLDED_LINES, fold_json, format_json


@pytest.fixture
def ben(clock: Clock, app: Flask, cast: Cast) -> FlaskClient:
    client = app.test_client()
    sign_in(client, "ben@example.com")
    return client


def started(clock: Clock, app: Flask, cast: Cast, type: str = "report") -> uuid.UUID:
    with app.app_context():
        job_id = jobs.enqueue_job(type, cast.acme.id, by=RUNNER)
        jobs.update_job_status(job_id, status="running", by=RUNNER)
    clock.advance(seconds=1)
    return job_id


def ended(clock: Clock, app: Flask, cast: Cast, seconds: float, status: str = "completed") -> uuid.UUID:
    job_id = started(clock, app, cast)
    clock.advance(seconds=seconds - 1)
    with app.app_context():
        jobs.update_job_status(job_id, status=status, by=RUNNER)
    return job_id


def test_the_usual_duration_stands_beside_a_job_and_what_was_slower_says_so(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    for _ in range(3):
        usual = ended(clock, app, cast, 180)
    slow = ended(clock, app, cast, 600)
    page = ben.get(f"/w/acme/jobs/{slow}").text
    assert "Usual duration 3 min 00 s" in page
    assert "this one was slower than usual" in page
    assert f'href="/w/acme/jobs/{usual}"' in page
    assert "slower than usual" not in ben.get(f"/w/acme/jobs/{usual}").text


def test_from_a_failed_job_a_link_leads_to_all_that_failed_alike(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        failed = [jobs.enqueue_job("report", cast.acme.id, by=RUNNER) for _ in range(3)]
        for job_id, error in zip(failed, ("order 4711 is gone", "order 12 is gone", "no space"), strict=True):
            jobs.update_job_status(job_id, status="failed", error=error, by=RUNNER)
    link = re.search(r'id="same-error" href="([^"]+)"', ben.get(f"/w/acme/jobs/{failed[0]}").text)
    assert link
    page_of_group = ben.get(html.unescape(link[1])).text
    assert [f'href="/w/acme/jobs/{job_id}"' in page_of_group for job_id in failed] == [True, True, False]


def test_a_running_job_leaves_it_to_the_browser_whether_it_is_slow(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    for _ in range(3):
        ended(clock, app, cast, 10)
    running = started(clock, app, cast)
    clock.advance(hours=1)
    page = ben.get(f"/w/acme/jobs/{running}").text
    assert 'data-usual="10.0"' in page
    assert "slower than usual" not in page
    panel = ben.get(f"/w/acme/jobs/{running}/panel").text
    assert "beside" not in panel
    assert 'data-started="' in panel


def test_the_list_knows_the_usual_time_of_a_type_and_an_unchanged_poll_asks_nothing(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    for _ in range(3):
        ended(clock, app, cast, 10)
    started(clock, app, cast)
    table = ben.get("/w/acme/jobs/table")
    assert 'data-usual="10.0"' in table.text
    with app.app_context(), record_statements() as statements:
        again = ben.get("/w/acme/jobs/table", headers={"If-None-Match": table.headers["ETag"]})
    assert again.status_code == 304
    assert not [statement for statement in statements if "completed_at" in statement]


def test_the_first_of_its_type_has_nothing_beside_it(ben: FlaskClient, clock: Clock, app: Flask, cast: Cast) -> None:
    assert "beside" not in ben.get(f"/w/acme/jobs/{started(clock, app, cast)}").text


# --- parent and children -----------------------------------------------------------------------------------------


def test_a_job_names_its_parent_by_type_and_a_parent_its_children(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    parent = started(clock, app, cast, "import-all")
    with app.app_context():
        parts = []
        for _ in range(23):
            clock.advance(seconds=1)
            parts.append(jobs.enqueue_job("part", cast.acme.id, parent_id=parent, by=RUNNER))
    page = ben.get(f"/w/acme/jobs/{parent}").text
    assert f'href="/w/acme/jobs/{parts[0]}"' in page
    assert "and 3 more" in page
    assert f"import-all …{str(parent)[-8:]}" in ben.get(f"/w/acme/jobs/{parts[0]}").text


def test_a_child_that_moves_is_news_to_the_panel_of_its_parent(
    ben: FlaskClient, clock: Clock, app: Flask, cast: Cast
) -> None:
    parent = ended(clock, app, cast, 5)
    address = f"/w/acme/jobs/{parent}/panel"
    assert "hx-trigger" not in ben.get(address).text
    with app.app_context():
        child = jobs.enqueue_job("part", cast.acme.id, parent_id=parent, by=RUNNER)
    before = ben.get(address)
    assert "hx-trigger" in before.text
    unchanged = {"If-None-Match": before.headers["ETag"]}
    assert ben.get(address, headers=unchanged).status_code == 304
    with app.app_context():
        jobs.update_job_status(child, status="failed", by=RUNNER)
    after = ben.get(address, headers=unchanged)
    assert after.status_code == 200
    assert "hx-trigger" not in after.text


# --- JSON --------------------------------------------------------------------------------------------------------

DEEP: dict[str, Any] = {"leaf": "{"}
for _ in range(90):
    DEEP = {"below": DEEP, "list": [1, [], {}, "]"]}


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"a": {"b": [1, {"c": "</div><b>"}]}, "d": "é\n}"}, DEEP])
def test_what_is_folded_is_the_same_text_and_copies_as_json(value: dict[str, Any]) -> None:
    drawn = fold_json(value)
    text = html.unescape(re.sub(r"<[^>]+>", "", drawn))
    assert text.rstrip("\n") == format_json(value)
    assert json.loads(text) == value
    assert drawn.count("<details") == drawn.count("</details>")


def test_what_would_be_too_much_to_draw_is_one_text() -> None:
    assert "<details" not in fold_json({"rows": list(range(MAX_FOLDED_LINES))})
