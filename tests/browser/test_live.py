"""A page left open: it moves by itself, keeps the operator's hands where they were, and falls silent at the end."""

import uuid

import httpx
import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.conftest import RUNNER, Cast
from webapp.core import jobs

SOON = 10_000
"""Milliseconds within which an open page must show a change."""


def running_job(app: Flask, cast: Cast) -> uuid.UUID:
    with app.app_context():
        job_id = jobs.enqueue_job("import.contacts", cast.acme.id, by=RUNNER)
        jobs.update_job_status(job_id, status="running", by=RUNNER)
    return job_id


def test_progress_moves_without_a_reload(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.goto(f"/w/acme/jobs/{job_id}")
    page.evaluate("document.body.dataset.stayed = 'yes'")
    with app.app_context():
        jobs.update_job_status(job_id, progress=64, message="row 64", by=RUNNER)
    expect(page.locator("#progress-line progress")).to_have_attribute("value", "64", timeout=SOON)
    expect(page.locator("#message")).to_have_text("row 64")
    assert page.evaluate("document.body.dataset.stayed") == "yes"


def test_a_finished_job_makes_no_further_request(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.goto(f"/w/acme/jobs/{job_id}")
    with app.app_context():
        jobs.update_job_status(job_id, status="completed", by=RUNNER)
    expect(page.locator("#job-facts .status-completed")).to_be_visible(timeout=SOON)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(5000)
    assert requests == []


def test_focus_and_ticks_survive_a_row_inserted_on_top(page: Page, app: Flask, cast: Cast) -> None:
    ticked, other = running_job(app, cast), running_job(app, cast)
    page.reload()
    page.check(f"#sel-{ticked}")
    page.focus(f"#link-{other}")
    newest = running_job(app, cast)
    expect(page.locator(f"#job-{newest}")).to_be_visible(timeout=SOON)
    assert page.evaluate("document.activeElement.id") == f"link-{other}"
    assert page.eval_on_selector_all("input[name=job]:checked", "boxes => boxes.map(box => box.value)") == [str(ticked)]


def test_a_cancel_asks_by_name_and_shows_at_once(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.reload()
    page.click(f"#cancel-{job_id}")
    expect(page.locator("#confirm-title")).to_have_text(f"Cancel import.contacts …{str(job_id)[-8:]}?")
    page.click("#confirm-yes")
    expect(page.locator(f"#job-{job_id} .status-canceled")).to_be_visible(timeout=2000)
    expect(page.locator("#toasts")).to_contain_text("Canceled import.contacts")
    # The button is gone; whoever works by keyboard stands on the row it belonged to.
    assert page.evaluate("document.activeElement.id") == f"link-{job_id}"


def test_a_cancel_reaches_the_runner_and_the_page_tells_that_it_stopped(page: Page, runner: httpx.Client) -> None:
    job_id = runner.post("/jobs", json={"type": "import.contacts"}).json()["id"]
    runner.patch(f"/jobs/{job_id}", json={"status": "running"})
    page.goto(f"/w/acme/jobs/{job_id}")
    page.click(f"#cancel-{job_id}")
    page.click("#confirm-yes")
    expect(page.locator("#story")).to_contain_text("Runner not heard from since", timeout=SOON)
    refused = runner.patch(f"/jobs/{job_id}", json={"progress": 41})
    assert (refused.status_code, refused.json()["code"]) == (409, "job_canceled")
    expect(page.locator("#story")).to_contain_text("Runner heard", timeout=SOON)
    assert runner.patch(f"/jobs/{job_id}", json={"status": "canceled"}).status_code == 200
    expect(page.locator("#story")).to_contain_text("Runner stopped", timeout=SOON)


def test_a_cancel_that_comes_too_late_says_so(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.goto(f"/w/acme/jobs/{job_id}")
    page.click(f"#cancel-{job_id}")
    with app.app_context():
        jobs.update_job_status(job_id, status="completed", by=RUNNER)
    page.click("#confirm-yes")
    expect(page.locator(".toast-problem")).to_contain_text("already completed")


def test_back_brings_the_filters_as_the_address_has_them(page: Page, app: Flask, cast: Cast) -> None:
    running_job(app, cast)
    page.reload()
    page.select_option("#type", "import.contacts")
    page.wait_for_url("**/jobs?type=import.contacts")
    page.go_back()
    expect(page.locator("#type")).to_have_value("")
    page.go_forward()
    expect(page.locator("#type")).to_have_value("import.contacts")


def test_a_server_that_is_away_leaves_the_table_and_is_told(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.reload()
    page.route("**/jobs/table*", lambda route: route.fulfill(status=503, body="<p>away</p>"))
    expect(page.locator("#stale")).to_contain_text("trying again", timeout=SOON)
    expect(page.locator(f"#job-{job_id}")).to_be_visible()
    page.unroute("**/jobs/table*")
    expect(page.locator("#stale")).to_be_hidden(timeout=SOON * 2)


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_long_words_do_not_push_a_page_out_of_the_window(page: Page, app: Flask, cast: Cast, width: int) -> None:
    with app.app_context():
        job_id = jobs.enqueue_job("t" * 200, cast.acme.id, {"key": "v" * 300}, tags=["g" * 64], by=RUNNER)
        jobs.update_job_status(job_id, status="running", progress=7, message="m" * 500, runner="r" * 200, by=RUNNER)
    page.set_viewport_size({"width": width, "height": 740})
    for address in ("/w/acme/jobs", f"/w/acme/jobs/{job_id}"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
