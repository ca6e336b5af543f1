"""Nobody is shut out: axe finds nothing to complain of, on any page, in both themes, whatever the page is doing."""

import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Page, expect

from tests.conftest import RUNNER, Cast, job_in
from webapp.core import jobs

axe = Axe()


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engines draw the same pages."""
    return str(request.param)


@pytest.fixture(params=["light", "dark"])
def themed(request: pytest.FixtureRequest, page: Page) -> Page:
    page.emulate_media(color_scheme=request.param, reduced_motion="reduce")
    return page


def assert_clean(page: Page) -> None:
    results = axe.run(page)
    assert results.violations_count == 0, results.generate_report()


def job_of(state: str, app: Flask, cast: Cast) -> uuid.UUID:
    with app.app_context():
        return job_in(state, cast.acme).id


STATES = ("pending", "running", "completed", "failed", "canceled", "lost", "timed_out")


def test_the_list_before_and_after_a_poll_with_a_dialog_and_a_toast(themed: Page, app: Flask, cast: Cast) -> None:
    for state in STATES:
        job_of(state, app, cast)
    themed.reload()
    assert_clean(themed)
    newest = job_of("running", app, cast)
    expect(themed.locator(f"#job-{newest}")).to_be_visible(timeout=10_000)
    assert_clean(themed)
    themed.check(f"#sel-{newest}")
    themed.click("#bulk-button")
    expect(themed.locator("#confirm")).to_be_visible()
    assert_clean(themed)
    themed.click("#confirm-yes")
    expect(themed.locator(".toast")).to_be_visible()
    assert_clean(themed)


@pytest.mark.parametrize("state", STATES)
def test_a_job_in_every_state(themed: Page, app: Flask, cast: Cast, state: str) -> None:
    with app.app_context():
        asked = {"rows": 2}
        job_id = jobs.enqueue_job("import", cast.acme.id, asked, tags=["nightly"], link="https://e.test", by=RUNNER)
    if state != "pending":
        job_id = job_of(state, app, cast)
    themed.goto(f"/w/acme/jobs/{job_id}")
    assert_clean(themed)


def test_a_job_with_children_and_earlier_runs(themed: Page, app: Flask, cast: Cast) -> None:
    for _ in range(4):
        job_of("completed", app, cast)
    with app.app_context():
        job_id = jobs.enqueue_job("generate-report", cast.acme.id, {"a": {"b": [1, 2]}}, by=RUNNER)
        jobs.update_job_status(job_id, status="running", by=RUNNER)
        jobs.enqueue_job("part", cast.acme.id, parent_id=job_id, by=RUNNER)
    themed.goto(f"/w/acme/jobs/{job_id}")
    expect(themed.locator("#slower")).to_contain_text("slower than usual")
    assert_clean(themed)
    themed.click("#payload-text summary >> nth=1")
    assert_clean(themed)


@pytest.mark.parametrize(
    "path", ["/?all", "/w/acme/jobs", "/w/acme/jobs?status=failed", "/w/nobody/jobs", "/w/acme/connect", "/api/docs"]
)
def test_pages_without_jobs(themed: Page, path: str) -> None:
    themed.goto(path)
    assert_clean(themed)


def test_the_login_and_its_refusal(themed: Page) -> None:
    themed.context.clear_cookies()
    themed.goto("/login")
    assert_clean(themed)
    themed.fill("#email", "ada@example.com")
    themed.fill("#password", "wrong")
    themed.click("button.primary")
    expect(themed.locator("#problem")).to_be_visible()
    assert_clean(themed)
