"""Nobody is shut out: axe finds nothing to complain of, on any page, in both themes, whatever the page is doing."""

import re
import uuid
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import Page, expect

from tests.support.apps import SECRET_KEY
from tests.support.browser import assert_clean, assert_narrow, later
from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.people import Cast
from webapp.core import clock, jobs
from webapp.core.accounts import attempts, resets, verification
from webapp.core.accounts.attempts import make_visitor
from webapp.core.database.session import db
from webapp.core.limits import limits
from webapp.core.models import BrowserSession, Role, User, Workspace
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import invitations, members, tokens, workspaces
from webapp.extensions import outbound

# The engines draw the same pages.
pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"])


def job_of(state: str, app: Flask, cast: Cast) -> uuid.UUID:
    with app.app_context():
        return job_in(state, cast.acme).id


STATES = ("pending", "running", "completed", "failed", "canceled", "lost", "timed_out")


def test_the_list_before_and_after_a_poll_with_a_dialog_and_a_toast(still: Page, app: Flask, cast: Cast) -> None:
    for state in STATES:
        job_of(state, app, cast)
    still.reload()
    assert_clean(still)
    newest = job_of("running", app, cast)
    later(still)
    expect(still.locator(f"#job-{newest}")).to_be_visible()
    assert_clean(still)
    still.check(f"#sel-{newest}")
    still.click("#bulk-button")
    expect(still.locator("#confirm")).to_be_visible()
    assert_clean(still)
    still.click("#confirm-yes")
    expect(still.locator(".toast")).to_be_visible()
    assert_clean(still)


@pytest.mark.parametrize("state", STATES)
def test_a_job_in_every_state(still: Page, app: Flask, cast: Cast, state: str) -> None:
    with app.app_context():
        payload = {"rows": 2}
        job_id = jobs.enqueue_job("import", cast.acme.id, payload, tags=["nightly"], link="https://e.test", by=RUNNER)
    if state != "pending":
        job_id = job_of(state, app, cast)
    still.goto(f"/w/acme/jobs/{job_id}")
    assert_clean(still)


def test_a_job_with_children_and_earlier_runs(still: Page, app: Flask, cast: Cast) -> None:
    for _ in range(4):
        job_of("completed", app, cast)
    with app.app_context():
        job_id = jobs.enqueue_job("generate-report", cast.acme.id, {"a": {"b": [1, 2]}}, by=RUNNER)
        jobs.update_job_status(job_id, status="running", by=RUNNER)
        jobs.enqueue_job("part", cast.acme.id, parent_id=job_id, by=RUNNER)
    still.goto(f"/w/acme/jobs/{job_id}")
    expect(still.locator("#slower")).to_contain_text("slower than usual")
    assert_clean(still)
    still.click("#payload-text summary >> nth=1")
    assert_clean(still)


NO_PAGES = re.compile(
    r"/api/v1|/static|/(metrics|healthz|readyz)$|/(table|panel|log|body)$|jobs\.(csv|ndjson)$|/log\.txt$|\.json$"
    r"|/settings$|<slug>$"
)
"""Answers to programs, fragments, and addresses that lead to a page."""


LONG = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewis"
"""A name without a place to break."""


def test_every_page_is_clean_and_no_wider_than_the_window(still: Page, app: Flask, cast: Cast, token: str) -> None:
    with app.app_context():
        db.session.execute(sa.update(User).values(name=LONG))
        db.session.execute(sa.update(Workspace).values(name=LONG))
        db.session.commit()
        ada = workspaces.get_membership("acme", cast.ada.id)
        # Somebody who can be made a member again, and who stands for a token and a webhook.
        members.change_role(ada, cast.ben.id, Role.ADMIN, by=OPERATOR)
        ben = workspaces.get_membership("acme", cast.ben.id)
        tokens.create(ben, LONG, scopes=["jobs:read"], by=OPERATOR)
        url = f"https://hooks.example.com/{LONG * 3}"
        endpoints.create(ben, url, ["job.failed"], outbound=outbound(), by=OPERATOR)
        known = {
            "slug": "acme",
            "job_id": job_in("failed", cast.acme).id,
            "runner": "python",
            "user_id": cast.ben.id,
            "token_id": tokens.list_tokens(cast.acme.id)[0].id,
            "webhook_id": endpoints.create(ada, url, ["job.failed"], outbound=outbound(), by=OPERATOR).id,
            "verification_secret": verification.request_link(cast.ada, SECRET_KEY, by=OPERATOR),
            "reset_secret": resets.request_reset("ada@example.com", make_visitor(None)).secret,  # type: ignore[union-attr]
            "secret": invitations.create(ada, f"{LONG}@{'sub.' * 8}example.com", Role.MEMBER, by=OPERATOR)[1],
        }
        job_in("running", cast.acme)
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or NO_PAGES.search(rule.rule):
            continue
        built = rule.build(known, append_unknown=False)
        assert built, rule
        answer = still.goto(built[1])
        assert answer
        assert answer.status == (403 if rule.rule.endswith("/leave") else 200), rule
        assert_clean(still)
        assert_narrow(still)


@pytest.mark.parametrize("path", ["/?all", "/w/acme/jobs", "/w/acme/jobs?status=failed", "/w/acme/overview"])
def test_pages_without_jobs(still: Page, path: str) -> None:
    still.goto(path)
    assert_clean(still)


def test_the_page_of_what_is_not_there(still: Page) -> None:
    still.goto("/w/nobody/jobs")
    assert_clean(still)
    assert_narrow(still)


def test_the_pages_of_tokens(still: Page, token: str) -> None:
    still.goto("/w/acme/settings/tokens")
    assert_clean(still)
    still.click("text=Revoke")
    assert_clean(still)
    still.goto("/w/acme/settings/tokens")
    still.fill("#name", "the nightly import")
    still.click("button.primary")
    expect(still.locator("#token")).to_be_visible()
    assert_clean(still)


@pytest.mark.parametrize(
    ("path", "filled", "button"),
    [
        ("/?all", {"name": " "}, "Create the workspace"),
        ("/profile", {"present": "wrong", "password": "short", "again": "other"}, "Change password"),
        ("/w/acme/settings/general", {"name": " "}, "Save the name"),
        ("/w/acme/settings/general/delete", {"name": "Acne"}, "Delete Acme"),
        ("/w/acme/settings/members", {"email": "nobody"}, "Create invite link"),
        ("/w/acme/settings/retention", {"completed": "-1"}, "Count what would go"),
        ("/w/acme/settings/time-limits", {"heartbeat_timeout": "soon"}, "Save for every type"),
        ("/w/acme/settings/time-limits", {"max_duration": "never"}, "Save for this type"),
        ("/w/acme/settings/tokens", {"name": " "}, "Create token"),
    ],
)
def test_a_form_that_was_refused(still: Page, path: str, filled: dict[str, str], button: str) -> None:
    still.goto(path)
    form = still.locator("form", has=still.get_by_role("button", name=button, exact=True))
    still.evaluate("document.querySelectorAll('details.create').forEach(one => one.open = true)")
    # What the browser would not have sent, the server has to refuse.
    form.evaluate("form => form.noValidate = true")
    for name, value in filled.items():
        form.locator(f"[name$={name}]").fill(value)
    form.get_by_role("button", name=button, exact=True).click()
    expect(still.locator(".wrong").first).to_be_visible()
    assert_clean(still)
    assert_narrow(still)


def test_an_audit_log_of_no_time(still: Page) -> None:
    still.goto("/w/acme/settings/audit?since=yesterday")
    expect(still.locator(".wrong")).to_be_visible()
    assert_clean(still)
    assert_narrow(still)


def test_the_page_that_asks_for_the_password_again(still: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        db.session.execute(sa.update(BrowserSession).values(confirmed_at=clock.now() - timedelta(days=1)))
        db.session.commit()
    still.goto("/w/acme/settings/tokens")
    still.fill("#name", "the nightly import")
    still.click("button.primary")
    expect(still.get_by_role("heading", name="Confirm your password")).to_be_visible()
    assert_clean(still)
    assert_narrow(still)
    still.fill("[name=confirm_password]", "wrong")
    still.click("button.primary")
    expect(still.locator("#problem")).to_be_visible()
    assert_clean(still)


def test_what_is_shown_once_and_a_rotation(still: Page, token: str) -> None:
    still.goto("/w/acme/settings/tokens")
    still.click("text=Rotate")
    assert_clean(still)
    still.click("button.primary")
    expect(still.locator("#token")).to_be_visible()
    assert_clean(still)
    assert_narrow(still)
    still.goto("/w/acme/settings/webhooks")
    still.fill("#url", "https://hooks.example.com/in")
    still.click("button.primary")
    expect(still.locator("#secret")).to_be_visible()
    assert_clean(still)
    assert_narrow(still)


def test_a_profile_with_an_unverified_address_and_refused_sign_ins(still: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        db.session.execute(sa.update(User).values(email_verified_at=None))
        visitor = make_visitor("2001:db8::1", "Firefox/130.0 on a very long name of a system " * 3)
        for _ in range(2):
            attempts.record_failure(attempts.claim(cast.ada.email, cast.ada, visitor, browser=None))
        db.session.commit()
    still.goto("/profile")
    expect(still.locator("#unverified")).to_be_visible()
    expect(still.locator(".sign-ins")).to_contain_text("wrong password")
    assert_clean(still)
    assert_narrow(still)


@pytest.mark.parametrize(
    "path", ["/password-reset/none", "/invitations/none", "/profile/verification/none", "/w/acme/settings/nothing"]
)
def test_links_that_lead_to_nothing(still: Page, path: str) -> None:
    still.goto(path)
    assert_clean(still)
    assert_narrow(still)


def test_a_workspace_at_its_limits(still: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        for limit in limits.OF_WORKSPACE:
            limits.set_limit(limits.of_workspace(cast.acme.id), limit.name, 0, by=OPERATOR)
    still.goto("/w/acme/settings/general")
    expect(still.locator(".limits .status")).to_have_count(len(limits.OF_WORKSPACE))
    assert_clean(still)
    assert_narrow(still)
    still.goto("/w/acme/settings/tokens")
    still.fill("#name", "one more")
    still.click("button.primary")
    expect(still.locator(".wrong")).to_contain_text("A workspace has at most 0 tokens")
    assert_clean(still)


def test_an_invitation_from_both_ends(still: Page) -> None:
    still.goto("/w/acme/settings/members")
    still.fill("#email", "dora@example.com")
    still.click("button.primary")
    link = still.locator("#link").inner_text()
    assert_clean(still)
    still.goto("/w/acme/settings/members")
    assert_clean(still)
    path = urlsplit(link).path
    still.goto(path)
    assert_clean(still)
    still.context.clear_cookies()
    still.goto(path)
    assert_clean(still)


def test_the_login_and_its_refusal(still: Page) -> None:
    still.context.clear_cookies()
    still.goto("/login")
    assert_clean(still)
    still.fill("#email", "ada@example.com")
    still.fill("#password", "wrong")
    still.click("button.primary")
    expect(still.locator("#problem")).to_be_visible()
    assert_clean(still)


def test_the_list_filtered_its_menu_its_keys_and_the_page_that_asks(still: Page, app: Flask, cast: Cast) -> None:
    job_of("running", app, cast)
    job_of("failed", app, cast)
    query = "q=generate-report&tag=none&created_by=system&created_after=2026-01-01T00:00&failed_since=2026-01-02T00:00"
    for address in (f"?{query}", "?status=running&sort=longest", "?q=boom", "/cancel", "/cancel?status=failed"):
        still.goto(f"/w/acme/jobs{address}")
        assert_clean(still)
    still.goto("/w/acme/jobs")
    still.click("#more summary")
    assert_clean(still)
    still.click("h1")
    still.keyboard.press("?")
    expect(still.locator("#keys")).to_be_visible()
    assert_clean(still)


def test_the_overview_full_with_its_table_open_and_after_a_poll(still: Page, app: Flask, cast: Cast) -> None:
    for state in STATES:
        for _ in range(3):
            job_of(state, app, cast)
    still.goto("/w/acme/overview?range=hour")
    assert_clean(still)
    still.click("#figures summary")
    assert_clean(still)
    job_of("failed", app, cast)
    later(still, seconds=35)
    expect(still.locator("#all-failed")).to_have_text("10")
    expect(still.locator("#figures[open] tbody")).to_be_visible()
    expect(still.locator("#longest .slower").first).to_have_text("slower than usual")
    assert_clean(still)


def test_nothing_in_the_overview_is_wider_than_the_page(still: Page, app: Flask, cast: Cast) -> None:
    with app.app_context():
        for status, error in (("failed", "E" * 280), ("completed", None), ("running", None)):
            job_id = jobs.enqueue_job("x" * 200, cast.acme.id, by=RUNNER)
            jobs.update_job_status(job_id, status="running", by=RUNNER)
            jobs.update_job_status(job_id, status=status, error=error, by=RUNNER)
    still.goto("/w/acme/overview")
    assert_narrow(still)
    assert_clean(still)
