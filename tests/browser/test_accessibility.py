"""Nobody is shut out: axe finds nothing to complain of, on any page, in both themes, whatever the page is doing."""

import uuid
from urllib.parse import urlsplit

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
    "path",
    [
        "/?all",
        "/w/acme/jobs",
        "/w/acme/jobs?status=failed",
        "/w/nobody/jobs",
        "/w/acme/overview",
        "/w/acme/connect",
        "/api/docs",
        "/profile",
    ],
)
def test_pages_without_jobs(themed: Page, path: str) -> None:
    themed.goto(path)
    assert_clean(themed)


def test_the_pages_of_tokens(themed: Page, token: str) -> None:
    themed.goto("/w/acme/settings/tokens")
    assert_clean(themed)
    themed.click("text=Revoke")
    assert_clean(themed)
    themed.goto("/w/acme/settings/tokens")
    themed.fill("#name", "the nightly import")
    themed.click("button.primary")
    expect(themed.locator("#token")).to_be_visible()
    assert_clean(themed)


def test_the_audit_log(themed: Page) -> None:
    themed.goto("/w/acme/settings/audit")
    assert_clean(themed)


@pytest.mark.parametrize("then", ["", "Make Ben the owner", "Remove Ben"])
def test_the_pages_of_members(themed: Page, then: str) -> None:
    themed.goto("/w/acme/settings/members")
    if then:
        themed.get_by_label(then).click()
    assert_clean(themed)


def test_an_invitation_from_both_ends(themed: Page) -> None:
    themed.goto("/w/acme/settings/members")
    themed.fill("#email", "dora@example.com")
    themed.click("button.primary")
    link = themed.locator("#link").inner_text()
    assert_clean(themed)
    themed.goto("/w/acme/settings/members")
    assert_clean(themed)
    path = urlsplit(link).path
    themed.goto(path)
    assert_clean(themed)
    themed.context.clear_cookies()
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


def test_the_list_filtered_its_menu_its_keys_and_the_page_that_asks(themed: Page, app: Flask, cast: Cast) -> None:
    job_of("running", app, cast)
    job_of("failed", app, cast)
    query = "q=generate-report&tag=none&created_by=system&created_after=2026-01-01T00:00&failed_since=2026-01-02T00:00"
    for address in (f"?{query}", "?status=running&sort=longest", "?q=boom", "/cancel", "/cancel?status=failed"):
        themed.goto(f"/w/acme/jobs{address}")
        assert_clean(themed)
    themed.goto("/w/acme/jobs")
    themed.click("#more summary")
    assert_clean(themed)
    themed.click("h1")
    themed.keyboard.press("?")
    expect(themed.locator("#keys")).to_be_visible()
    assert_clean(themed)


def test_the_overview_full_with_its_table_open_and_after_a_poll(themed: Page, app: Flask, cast: Cast) -> None:
    for state in STATES:
        for _ in range(3):
            job_of(state, app, cast)
    themed.goto("/w/acme/overview?range=hour")
    assert_clean(themed)
    themed.click("#figures summary")
    assert_clean(themed)
    job_of("failed", app, cast)
    themed.evaluate("document.dispatchEvent(new CustomEvent('jobs-changed'))")
    expect(themed.locator("#all-failed")).to_have_text("10")
    expect(themed.locator("#figures[open] tbody")).to_be_visible()
    expect(themed.locator("#longest .slower").first).to_have_text("slower than usual", timeout=10_000)
    assert_clean(themed)


def test_nothing_in_the_overview_is_wider_than_the_page(themed: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        for status, error in (("failed", "E" * 280), ("completed", None), ("running", None)):
            job_id = jobs.enqueue_job("x" * 200, cast.acme.id, by=RUNNER)
            jobs.update_job_status(job_id, status="running", by=RUNNER)
            jobs.update_job_status(job_id, status=status, error=error, by=RUNNER)
    themed.goto("/w/acme/overview")
    for width in (360, 768, 1280):
        themed.set_viewport_size({"width": width, "height": 800})
        assert themed.evaluate("document.documentElement.scrollWidth") <= width
    assert_clean(themed)
