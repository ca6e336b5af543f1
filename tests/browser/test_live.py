"""A page left open: it moves by itself, keeps the operator's hands where they were, and falls silent at the end."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask
from playwright.sync_api import Page, expect, sync_playwright

from tests.conftest import PASSWORD, RUNNER, Cast, StartServer
from webapp.core import jobs

CHROMIUM = shutil.which("chromium")
"""The one that the system brings; null lets Playwright take its own."""
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SOON = 10_000
"""Milliseconds within which an open page must show a change."""


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The browser cannot tell the engines apart; one is enough."""
    return str(request.param)


@pytest.fixture
def page(cast: Cast, server: StartServer) -> Iterator[Page]:
    """A browser in which Ada is signed in. What its console complains of fails the test."""
    [address] = server()
    complaints: list[str] = []
    with ExitStack() as running:
        browser = running.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        running.callback(browser.close)
        page = browser.new_page(base_url=address)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/login")
        page.fill("#email", "ada@example.com")
        page.fill("#password", PASSWORD)
        page.click("button.primary")
        page.wait_for_url("**/w/acme/jobs")
        yield page
    assert not complaints


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
    expect(page.locator("#progress")).to_have_attribute("value", "64", timeout=SOON)
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
