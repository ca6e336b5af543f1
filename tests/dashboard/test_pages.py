"""What a person meets in the browser: the way in, the walls between workspaces, the list, one job, and cancel."""

import re
import uuid
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from markupsafe import escape

from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.pages import HTMX, csrf_token, post, sign_in
from tests.support.paths import ROOT
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.errors import Conflict
from webapp.dashboard.connect import RUNNERS, Runner

DASHBOARD = ROOT / "webapp" / "dashboard"


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ben, a member of acme, is signed in."""
    sign_in(client, "ben@example.com")
    return client


def made(app: Flask, cast: Cast, state: str = "running") -> uuid.UUID:
    with app.app_context():
        return job_in(state, cast.acme).id


# --- the way in --------------------------------------------------------------------------------------------------


def test_a_page_leads_a_stranger_to_the_login_and_back(client: FlaskClient, cast: Cast) -> None:
    answer = client.get("/w/acme/jobs?status=failed")
    assert (answer.status_code, answer.location) == (303, "/login?next=/w/acme/jobs?status%3Dfailed")
    token = csrf_token(client.get(answer.location).text)
    login = {"email": "ben@example.com", "password": "correct horse battery", "csrf_token": token}
    answer = client.post(answer.location, data=login)
    assert (answer.status_code, answer.location) == (303, "/w/acme/jobs?status=failed")


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example", "/\\evil.example", "/\tx"])
def test_the_login_never_leads_to_another_host(client: FlaskClient, cast: Cast, address: str) -> None:
    token = csrf_token(client.get("/login").text)
    login = {"email": "ben@example.com", "password": "correct horse battery", "csrf_token": token}
    assert client.post("/login", query_string={"next": address}, data=login).location == "/"


def test_a_wrong_password_is_told_without_telling_which_part_is_wrong(client: FlaskClient, cast: Cast) -> None:
    token = csrf_token(client.get("/login").text)
    answer = client.post("/login", data={"email": "ben@example.com", "password": "no", "csrf_token": token})
    assert answer.status_code == 422
    assert "The email address or the password is wrong." in answer.text


def test_too_many_attempts_are_told_to_wait(client: FlaskClient, cast: Cast) -> None:
    token = csrf_token(client.get("/login").text)
    wrong = {"email": "ben@example.com", "password": "no", "csrf_token": token}
    for _ in range(10):
        client.post("/login", data=wrong)
    answer = client.post("/login", data=wrong)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_after_sign_out_a_copy_of_the_cookie_is_worth_nothing(ben: FlaskClient) -> None:
    cookie = ben.get_cookie(ben.application.config["SESSION_COOKIE_NAME"])
    assert cookie
    assert post(ben, "/logout").status_code == 303
    ben.set_cookie(cookie.key, cookie.value)
    assert ben.get("/w/acme/jobs").status_code == 303


def test_a_fragment_sends_the_whole_page_to_the_login(client: FlaskClient, cast: Cast) -> None:
    answer = client.get("/w/acme/jobs/table", headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login?next=/w/acme/jobs")


def test_an_odd_page_address_from_htmx_still_leads_to_the_login(client: FlaskClient, cast: Cast) -> None:
    answer = client.get("/w/acme/jobs/table", headers=HTMX | {"HX-Current-URL": "http://["})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login")


def test_a_session_that_ended_is_told_at_the_login(ben: FlaskClient, app: Flask) -> None:
    with app.app_context():
        accounts.set_password(accounts.get_by_email("ben@example.com"), "another horse battery", by=SYSTEM)
    assert ben.get("/w/acme/jobs/table", headers=HTMX).status_code == 401
    assert "Your session ended." in ben.get("/login").text
    assert "Your session ended." not in ben.get("/login").text


def test_a_form_without_its_token_is_refused(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast)
    assert ben.post(f"/w/acme/jobs/{job_id}/cancel").status_code == 400
    with app.app_context():
        assert jobs.get_job_status(job_id).status == "running"


# --- the walls ---------------------------------------------------------------------------------------------------


def test_every_workspace_address_is_closed_to_strangers(app: Flask, client: FlaskClient, cast: Cast) -> None:
    job_id = made(app, cast)
    sign_in(client, "cleo@example.com")
    token = csrf_token(client.get("/w/other/jobs").text)
    walked = 0
    for rule in app.url_map.iter_rules():
        if "<slug>" not in rule.rule or rule.rule.startswith("/api/"):
            continue
        address = re.sub(r"<uuid:\w+>", str(job_id), rule.rule.replace("<slug>", "acme"))
        for method in rule.methods & {"GET", "POST"} if rule.methods else ():
            answer = client.open(address, method=method, data={"csrf_token": token} if method == "POST" else None)
            assert answer.status_code == 404, (method, address)
            walked += 1
    assert walked >= 6


def test_a_job_is_found_only_through_its_own_workspace(app: Flask, client: FlaskClient, cast: Cast) -> None:
    job_id = made(app, cast)
    sign_in(client, "cleo@example.com")
    assert client.get(f"/w/other/jobs/{job_id}").status_code == 404


def test_the_dashboard_names_the_workspace_in_every_call_for_a_job() -> None:
    source = "".join(path.read_text() for path in DASHBOARD.rglob("*.py"))
    calls_for_one = re.findall(r"jobs\.(?:get_job_status|cancel_job|update\w*|apply_report)\(([^)]*)", source)
    calls_for_several = re.findall(r"jobs\.(?:cancel_jobs|apply_reports)\(([^)]*)", source)
    assert calls_for_one
    assert calls_for_several
    assert all("within=g.workspace.id" in arguments for arguments in calls_for_one)
    assert all(arguments.startswith("g.workspace.id,") for arguments in calls_for_several)


# --- the list ----------------------------------------------------------------------------------------------------


def test_the_page_and_its_fragment_show_the_same_table(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    made(app, cast)
    page, fragment = ben.get("/w/acme/jobs"), ben.get("/w/acme/jobs/table", headers=HTMX)
    assert "".join(fragment.text.split()) in "".join(page.text.split())


def test_an_unchanged_table_is_a_304_and_a_changed_one_is_not(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast)
    first = ben.get("/w/acme/jobs/table", headers=HTMX)
    assert first.headers["Cache-Control"] == "no-store"
    again = HTMX | {"If-None-Match": first.headers["ETag"]}
    unchanged = ben.get("/w/acme/jobs/table", headers=again)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    with app.app_context():
        jobs.update_job_status(job_id, progress=55, by=RUNNER)
    changed = ben.get("/w/acme/jobs/table", headers=again)
    assert changed.status_code == 200
    assert 'value="55"' in changed.text


def test_filter_values_that_mean_nothing_are_left_out(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast)
    answer = ben.get("/w/acme/jobs?status=canned&cursor=x&type=%00&nonsense=1")
    assert f"job-{job_id}" in answer.text


def test_from_a_job_one_comes_back_to_the_list_as_it_was_filtered(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    address = f"/w/acme/jobs/{made(app, cast)}"
    left = "http://localhost/w/acme/jobs?status=running&type=generate-report"
    page = ben.get(address, headers={"Referer": left}).text
    assert 'href="/w/acme/jobs?status=running&amp;type=generate-report">Jobs</a>' in page
    for elsewhere in ("http://localhost/w/other/jobs?x", "https://elsewhere.test/", "http://["):
        assert 'href="/w/acme/jobs">Jobs</a>' in ben.get(address, headers={"Referer": elsewhere}).text


def test_without_scripts_the_pages_that_move_refresh_by_themselves(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    refresh = '<noscript><meta http-equiv="refresh"'
    assert refresh in ben.get("/w/acme/jobs").text
    assert refresh in ben.get(f"/w/acme/jobs/{made(app, cast)}").text
    assert refresh not in ben.get(f"/w/acme/jobs/{made(app, cast, 'completed')}").text
    assert refresh not in ben.get("/w/acme/jobs?cursor=ffffffff-ffff-7fff-bfff-ffffffffffff").text


def test_a_status_tab_shows_only_its_jobs(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    running, failed = made(app, cast), made(app, cast, "failed")
    page = ben.get("/w/acme/jobs?status=failed").text
    assert f"job-{failed}" in page
    assert f"job-{running}" not in page


def test_pages_follow_each_other_and_only_the_first_refreshes_by_itself(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        ids = [jobs.enqueue_job("many", cast.acme.id, by=RUNNER) for _ in range(51)]
    first = ben.get("/w/acme/jobs").text
    assert "every 1s" in first
    assert f"job-{ids[0]}" not in first
    older = re.search(r'id="older" href="([^"]+)"', first)
    assert older
    second = ben.get(older[1].replace("&amp;", "&")).text
    assert f"job-{ids[0]}" in second
    assert f"job-{ids[1]}" not in second
    assert "every 1s" not in second


def test_an_empty_board_teaches_the_first_call(ben: FlaskClient) -> None:
    page = ben.get("/w/acme/jobs").text
    assert "No jobs yet" in page
    assert "curl http://127.0.0.1:8000/api/v1/jobs" in page


def test_what_a_runner_sends_is_shown_as_text(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    with app.app_context():
        job_id = jobs.enqueue_job("<script>alert(1)</script>", cast.acme.id, {"a": "</pre><b>"}, by=RUNNER)
    for address in ("/w/acme/jobs", f"/w/acme/jobs/{job_id}"):
        page = ben.get(address).text
        assert "<script>alert" not in page
        assert "</pre><b>" not in page


# --- one job -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["pending", "running", "completed", "failed", "canceled", "lost", "timed_out"])
def test_a_job_polls_exactly_while_news_may_come_and_offers_cancel_while_it_is_live(
    ben: FlaskClient, app: Flask, cast: Cast, state: str
) -> None:
    job_id = made(app, cast, state)
    for address in (f"/w/acme/jobs/{job_id}", f"/w/acme/jobs/{job_id}/panel"):
        text = ben.get(address).text
        assert ("hx-trigger" in text) is (state in ("pending", "running", "lost"))
        assert (f'id="cancel-{job_id}"' in text) is (state in ("pending", "running"))


@pytest.mark.parametrize("last_word", ["canceled", "completed"])
def test_a_canceled_job_polls_until_its_runner_has_said_how_it_ended(
    ben: FlaskClient, app: Flask, cast: Cast, last_word: str
) -> None:
    job_id = made(app, cast)
    with app.app_context():
        jobs.cancel_job(job_id, by=OPERATOR)
    assert "hx-trigger" in ben.get(f"/w/acme/jobs/{job_id}/panel").text
    with app.app_context(), suppress(Conflict):
        jobs.update_job_status(job_id, progress=50, by=RUNNER)
    panel = ben.get(f"/w/acme/jobs/{job_id}/panel").text
    assert "Runner heard" in panel
    assert "hx-trigger" in panel
    with app.app_context(), suppress(Conflict):
        jobs.update_job_status(job_id, status=last_word, by=RUNNER)
    assert "hx-trigger" not in ben.get(f"/w/acme/jobs/{job_id}/panel").text


def test_the_story_of_a_cancel_is_told_in_words(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast)
    address = f"/w/acme/jobs/{job_id}"
    post(ben, f"{address}/cancel")
    page = ben.get(address).text
    assert "by Ben." in page
    assert "Runner not heard from since" in page
    with app.app_context():
        jobs.update_job_status(job_id, status="canceled", by=RUNNER)
    assert "Runner stopped" in ben.get(address).text


STORIES: dict[str, list[dict[str, Any]]] = {
    "not heard from since": [],
    "told": [{"progress": 50}],
    "stopped": [{"progress": 50}, {"status": "canceled"}],
    "finished anyway": [{"status": "completed"}],
}
"""What the list says of a canceled job's runner, by what the runner said after the cancel."""


@pytest.mark.parametrize("story", STORIES)
def test_the_list_tells_how_far_the_runner_has_followed_a_cancel(
    ben: FlaskClient, app: Flask, cast: Cast, story: str
) -> None:
    job_id = made(app, cast)
    with app.app_context():
        jobs.cancel_job(job_id, by=OPERATOR)
        for said in STORIES[story]:
            with suppress(Conflict):
                jobs.update_job_status(job_id, by=RUNNER, **said)
    list_ = ben.get("/w/acme/jobs").text
    assert [each for each in STORIES if f"runner {each}" in list_] == [story]


# --- cancel ------------------------------------------------------------------------------------------------------


def test_cancel_answers_htmx_with_news_and_a_form_with_the_job(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    one, other = made(app, cast), made(app, cast)
    news = post(ben, f"/w/acme/jobs/{one}/cancel", headers=HTMX)
    assert (news.status_code, news.data) == (204, b"")
    assert "toast" in news.headers["HX-Trigger"]
    assert "jobs-changed" in news.headers["HX-Trigger"]
    answer = post(ben, f"/w/acme/jobs/{other}/cancel")
    assert (answer.status_code, answer.location) == (303, f"/w/acme/jobs/{other}")


def test_a_cancel_that_comes_too_late_says_so(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast, "completed")
    news = post(ben, f"/w/acme/jobs/{job_id}/cancel", headers=HTMX)
    assert news.status_code == 409
    assert "already completed" in news.headers["HX-Trigger"]
    answer = post(ben, f"/w/acme/jobs/{job_id}/cancel")
    assert answer.status_code == 303
    assert "already completed" in ben.get(answer.location).text


def test_ticked_jobs_are_canceled_and_the_answer_counts_them(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    ids = [made(app, cast), made(app, cast, "pending"), made(app, cast, "failed")]
    answer = post(ben, "/w/acme/jobs/cancel", {"job": [str(job_id) for job_id in ids] + ["nonsense"], "sure": "1"})
    assert "2 canceled, 1 had finished" in ben.get(answer.location).text
    again = post(ben, "/w/acme/jobs/cancel", {"job": str(ids[0]), "sure": "1"})
    assert "1 had been canceled before" in ben.get(again.location).text


# --- for whoever writes a runner ---------------------------------------------------------------------------------


def test_the_reference_tells_every_call_and_shape_of_the_document_to_anybody(client: FlaskClient) -> None:
    page = client.get("/api/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    document: Any = client.get("/api/v1/openapi.json").json
    for item in document["paths"].values():
        for call in (call for method, call in item.items() if method != "parameters"):
            assert f'<section id="{call["operationId"]}">' in page.text
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema:
            assert f'<section id="{name}">' in page.text
            assert all(f"<code>{field}</code>" in page.text for field in schema["properties"])
    assert set(re.findall(r'href="#(\w+)"', page.text)) <= set(re.findall(r'id="(\w+)"', page.text))


def test_the_first_calls_of_a_runner_name_this_board_and_this_workspace(ben: FlaskClient) -> None:
    page = ben.get("/w/acme/connect").text
    assert "Ask the owner or an admin of Acme for a token" in page
    assert "API=http://127.0.0.1:8000/api/v1" in page
    assert 'href="/api/docs"' in page


@pytest.mark.parametrize("runner", RUNNERS, ids=lambda runner: runner.slug)
def test_each_kind_of_runner_has_its_first_lines_with_this_address(ben: FlaskClient, runner: Runner) -> None:
    page = ben.get(f"/w/acme/connect/{runner.slug}").text
    assert "export CALLBOARD_URL=http://127.0.0.1:8000" in page
    assert escape(runner.install) in page
    assert escape(runner.code) in page
    assert escape(runner.start or "") in page
    assert f'href="/w/acme/connect/{runner.slug}"' in ben.get("/w/acme/connect").text
    assert ben.get("/w/acme/connect/cobol").status_code == 404


@pytest.mark.parametrize("runner", RUNNERS, ids=lambda runner: runner.slug)
def test_each_kind_of_runner_has_a_page_of_docs_with_the_code_that_the_tests_run(runner: Runner) -> None:
    text = (ROOT / runner.page).read_text()
    assert f"`{runner.example}`" in text
    assert f"\n{runner.code}\n```" in text
    assert runner.install in text
    assert [line for line in (runner.start or "").splitlines() if f"    {line}\n" not in text] == []


# --- every answer ------------------------------------------------------------------------------------------------


def test_pages_carry_a_strict_policy_and_nothing_inline(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    job_id = made(app, cast)
    for address in (
        "/login",
        "/?all",
        "/w/acme/jobs",
        f"/w/acme/jobs/{job_id}",
        "/w/acme/connect",
        "/api/docs",
        "/nowhere",
    ):
        answer = ben.get(address)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; object-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|<script(?![^>]*\ssrc=)", answer.text)


def test_a_missing_page_is_a_page_that_says_so(client: FlaskClient) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_a_missing_page_keeps_the_board_around_it_for_who_is_signed_in(ben: FlaskClient) -> None:
    for address, title in (
        ("/nowhere", "There is no such page"),
        (f"/w/acme/jobs/{uuid.uuid4()}", "There is no such job"),
    ):
        page = ben.get(address)
        assert page.status_code == 404
        assert title in page.text
        assert "Sign out" in page.text
    assert "Other" not in ben.get("/w/other/jobs").text


def test_the_process_says_that_it_is_alive(client: FlaskClient) -> None:
    assert client.get("/healthz").text == "ok\n"
