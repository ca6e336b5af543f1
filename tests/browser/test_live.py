"""A page left open: it moves by itself, keeps the operator's hands where they were, and falls silent at the end."""

import re
import uuid
from datetime import datetime, timedelta
from urllib.parse import unquote

import httpx
import pytest
from flask import Flask
from playwright.sync_api import Page, Route, expect

from tests.support.browser import assert_narrow, later
from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.people import PASSWORD, Cast
from webapp.core import clock, jobs
from webapp.core.accounts import sessions
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs import store
from webapp.core.workspaces import deletion, workspaces


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
    later(page)
    expect(page.locator("#progress-line progress")).to_have_attribute("value", "64")
    expect(page.locator("#message")).to_have_text("row 64")
    assert page.evaluate("document.body.dataset.stayed") == "yes"


def test_a_finished_job_makes_no_further_request(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.goto(f"/w/acme/jobs/{job_id}")
    with app.app_context():
        jobs.update_job_status(job_id, status="completed", by=RUNNER)
    later(page)
    expect(page.locator("#job-facts .status-completed")).to_be_visible()
    expect(page.locator("#log[hx-trigger]")).to_have_count(0)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    later(page, seconds=120)
    assert requests == []


def test_focus_and_ticks_survive_a_row_inserted_on_top(page: Page, app: Flask, cast: Cast) -> None:
    ticked, other = running_job(app, cast), running_job(app, cast)
    page.reload()
    page.check(f"#sel-{ticked}")
    page.focus(f"#link-{other}")
    newest = running_job(app, cast)
    later(page)
    expect(page.locator(f"#job-{newest}")).to_be_visible()
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
    later(page)
    expect(page.locator("#story")).to_contain_text("Runner not heard from since")
    refused = runner.patch(f"/jobs/{job_id}", json={"progress": 41})
    assert (refused.status_code, refused.json()["code"]) == (409, "job_canceled")
    later(page)
    expect(page.locator("#story")).to_contain_text("Runner heard")
    assert runner.patch(f"/jobs/{job_id}", json={"status": "canceled"}).status_code == 200
    later(page)
    expect(page.locator("#story")).to_contain_text("Runner stopped")


def test_a_cancel_that_comes_too_late_says_so(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.goto(f"/w/acme/jobs/{job_id}")
    page.click(f"#cancel-{job_id}")
    with app.app_context():
        jobs.update_job_status(job_id, status="completed", by=RUNNER)
    page.click("#confirm-yes")
    expect(page.locator(".toast-problem")).to_contain_text("already completed")


def test_a_cancel_that_comes_too_late_leaves_the_focus_by_its_job(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.reload()
    page.click(f"#cancel-{job_id}")
    with app.app_context():
        jobs.update_job_status(job_id, status="completed", by=RUNNER)
    page.click("#confirm-yes")
    expect(page.locator(f"#job-{job_id} .status-completed")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == f"link-{job_id}"


def test_a_cancel_that_failed_moves_no_focus_later(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.reload()
    away = {"HX-Trigger": '{"toast": {"text": "The board cannot reach its database.", "kind": "problem"}}'}
    page.route("**/cancel", lambda route: route.fulfill(status=503, headers=away))
    page.click(f"#cancel-{job_id}")
    page.click("#confirm-yes")
    expect(page.locator(".toast-problem")).to_be_visible()
    page.click("header.top", position={"x": 700, "y": 10})
    assert page.evaluate("document.activeElement === document.body")
    newest = running_job(app, cast)
    later(page)
    expect(page.locator(f"#job-{newest}")).to_be_visible()
    assert page.evaluate("document.activeElement === document.body")


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
    later(page)
    expect(page.locator("#stale")).to_contain_text("reconnecting")
    expect(page.locator(f"#job-{job_id}")).to_be_visible()
    page.unroute("**/jobs/table*")
    later(page)
    expect(page.locator("#stale")).to_be_hidden()


def test_a_job_that_is_deleted_while_it_is_watched_is_gone_and_asked_for_no_more(
    page: Page, app: Flask, cast: Cast
) -> None:
    job_id = running_job(app, cast)
    page.goto(f"/w/acme/jobs/{job_id}")
    with app.app_context(), write_transaction() as session:
        store.delete_jobs(session, [job_id])
    later(page)
    expect(page.locator("#stale")).to_contain_text("This was deleted, or you no longer have access.")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    shown = page.locator("#job-facts").inner_text()
    later(page, seconds=120)
    assert requests == []
    assert page.locator("#job-facts").inner_text() == shown


def test_a_workspace_that_is_deleted_under_an_open_list_is_told_as_such(page: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        deletion.delete(workspaces.get_membership("acme", cast.ada.id), "Acme", by=OPERATOR)
    later(page)
    expect(page.locator("#stale")).to_contain_text("you no longer have access")
    expect(page.locator("#stale")).not_to_contain_text("Connection lost")


# --- the clock of a page that is not fresh -----------------------------------------------------------------------


def job_that_runs_for_two_minutes(runner: httpx.Client) -> str:
    started = (clock.now() - timedelta(minutes=2)).isoformat()
    job_id: str = runner.post("/jobs", json={"type": "import.contacts", "occurred_at": started}).json()["id"]
    assert runner.patch(f"/jobs/{job_id}", json={"status": "running", "occurred_at": started}).status_code == 200
    return job_id


def serve_as_it_was_a_minute_ago(page: Page, path: str) -> None:
    """Answer with a document as the browser's cache would after Back, or in a tab that was restored."""

    def answer(route: Route) -> None:
        response = route.fetch()
        drawn = re.search(r'data-now="([^"]+)"', response.text())
        assert drawn
        a_minute_ago = clock.to_iso(datetime.fromisoformat(drawn[1]) - timedelta(minutes=1), "milliseconds")
        route.fulfill(response=response, body=response.text().replace(drawn[0], f'data-now="{a_minute_ago}"'))

    page.route(f"**{path}", answer)


def test_an_old_document_of_a_tab_shows_ages_by_the_clock_as_it_was_measured(page: Page, runner: httpx.Client) -> None:
    job_id = job_that_runs_for_two_minutes(runner)
    page.route("**/jobs/table*", lambda route: route.abort())
    serve_as_it_was_a_minute_ago(page, "/w/acme/jobs")
    page.goto("/w/acme/jobs")
    expect(page.locator(f"#job-{job_id} .c-took time")).to_have_text(re.compile("^2 min 0. s$"))


@pytest.mark.parametrize("fast", [timedelta(0), timedelta(minutes=10), -timedelta(minutes=10)])
def test_an_old_document_in_a_fresh_tab_is_set_right_by_its_first_poll(
    page: Page, runner: httpx.Client, fast: timedelta
) -> None:
    job_id = job_that_runs_for_two_minutes(runner)
    serve_as_it_was_a_minute_ago(page, "/w/acme/jobs")
    page.evaluate("sessionStorage.clear()")
    page.clock.set_system_time(clock.now() + fast)
    page.goto("/w/acme/jobs")
    age = page.locator(f"#job-{job_id} .c-took time")
    expect(age).to_have_text(re.compile("^(1 min 0. s|2 min 0. s)$"))
    later(page)
    expect(age).to_have_text(re.compile("^2 min [01]. s$"))


def test_links_of_what_failed_lately_keep_up_on_a_page_that_asks_for_nothing(
    page: Page, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        job = job_in("failed", cast.acme)
    page.goto(f"/w/acme/jobs?status=failed&cursor={job.id}")
    link = page.locator("#last-hour")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    def since() -> datetime:
        match = re.search(r"failed_since=([^&]+)", unquote(link.get_attribute("href") or ""))
        assert match
        return datetime.fromisoformat(match[1])

    before = since()
    page.clock.fast_forward("03:00:00")
    assert since() - before in (timedelta(hours=3), timedelta(hours=3, minutes=1))
    assert not [url for url in requests if "/w/" in url]
    link.click()
    expect(page.locator(f"#job-{job.id}")).to_have_count(0)
    expect(page).to_have_url(re.compile("failed_since="))


def test_on_a_telephone_the_tab_and_the_section_that_are_shown_are_in_sight(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/w/acme/jobs?status=canceled")
    expect(page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.9)
    page.goto("/w/acme/settings/audit")
    expect(page.locator(".sections [aria-current]")).to_be_in_viewport(ratio=0.9)


def test_a_hidden_tab_makes_no_request_and_catches_up_at_once_when_it_is_shown(
    page: Page, app: Flask, cast: Cast
) -> None:
    hide = """hidden => {
        Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    newest = running_job(app, cast)
    later(page, seconds=120)
    assert requests == []
    page.evaluate(hide, False)
    expect(page.locator(f"#job-{newest}")).to_be_visible()


def test_a_tick_may_be_a_second_old_and_after_a_command_the_page_looks_itself(
    page: Page, app: Flask, cast: Cast
) -> None:
    job_id = running_job(app, cast)
    page.context.set_extra_http_headers({})
    page.reload()
    cache_headers: list[str | None] = []
    page.on(
        "request",
        lambda request: cache_headers.append(request.headers.get("cache-control")) if "/table" in request.url else None,
    )
    later(page)
    ticks = list(cache_headers)
    assert ticks
    assert set(ticks) == {"max-age=1"}
    page.click(f"#cancel-{job_id}")
    page.click("#confirm-yes")
    expect(page.locator(f"#job-{job_id} .status-canceled")).to_be_visible()
    assert cache_headers[len(ticks)] != "max-age=1"


def test_a_session_that_ended_sends_the_whole_page_to_the_login_and_back(page: Page, app: Flask, cast: Cast) -> None:
    job_id = running_job(app, cast)
    page.goto("/w/acme/jobs?status=running")
    with app.app_context():
        sessions.end_all_sessions(cast.ada, by=OPERATOR)
    later(page)
    page.wait_for_url(re.compile("/login.next="))
    page.fill("#email", cast.ada.email)
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.wait_for_url(re.compile("/w/acme/jobs.status=running"))
    expect(page.locator(f"#job-{job_id}")).to_be_visible()


def test_long_words_do_not_push_a_page_out_of_the_window(page: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        job_id = jobs.enqueue_job("t" * 200, cast.acme.id, {"key": "v" * 300}, tags=["g" * 64], by=RUNNER)
        jobs.update_job_status(job_id, status="running", progress=7, message="m" * 500, runner="r" * 200, by=RUNNER)
    for address in ("/w/acme/jobs", f"/w/acme/jobs/{job_id}"):
        page.goto(address)
        assert_narrow(page)


def test_a_poll_brings_payload_and_result_only_when_they_change(page: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        job_id = jobs.enqueue_job("import.contacts", cast.acme.id, {"rows": {"given": [1, 2]}}, by=RUNNER)
        jobs.update_job_status(job_id, status="running", result={"done": [1]}, by=RUNNER)
    page.goto(f"/w/acme/jobs/{job_id}")
    panels: list[str] = []
    page.on("response", lambda answer: panels.append(answer.text()) if "/panel" in answer.url else None)
    page.click("#payload-text summary >> nth=1")
    with app.app_context():
        jobs.update_job_status(job_id, progress=50, by=RUNNER)
    later(page)
    expect(page.locator("#progress-line progress")).to_have_attribute("value", "50")
    assert ("given" in panels[-1], "done" in panels[-1]) == (False, False)
    expect(page.locator("#payload-text")).to_contain_text("given")
    # What the reader has folded away stays so.
    assert page.locator("#payload-text details").nth(1).get_attribute("open") is None
    with app.app_context():
        jobs.update_job_status(job_id, result={"done": [1, 2, 3]}, by=RUNNER)
    later(page)
    expect(page.locator("#result-text")).to_contain_text("3")
    expect(page.locator("#result-text")).to_have_count(1)
    assert ("given" in panels[-1], "done" in panels[-1]) == (False, True)
    with app.app_context():
        jobs.update_job_status(job_id, status="completed", by=RUNNER)
    later(page)
    expect(page.locator("#job-facts .status-completed")).to_be_visible()
    expect(page.locator("#result-text")).to_contain_text("3")
    expect(page.locator("#payload-text")).to_contain_text("given")
