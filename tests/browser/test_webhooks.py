"""The pages of webhooks in a browser: axe finds nothing, no page is too wide, and scripts are not needed."""

import uuid
from collections.abc import Mapping

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import assert_clean, assert_narrow, sign_in
from tests.support.jobs import OPERATOR, job_in
from tests.support.people import Cast
from tests.support.receiver import Receiver
from tests.support.webhooks import EVERYTHING, PRIVATE
from webapp.core.webhooks import endpoints, sender
from webapp.core.workspaces import workspaces
from webapp.extensions import outbound

# The engines draw the same pages.
pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"])

LONG = "/hooks/" + "a-token-without-end" * 20


@pytest.fixture
def settings() -> Mapping[str, str]:
    return PRIVATE


@pytest.fixture
def failing(app: Flask, cast: Cast, hooks: Receiver) -> uuid.UUID:
    """An endpoint with a message delivered, and one that waits after an answer of one long word."""
    with app.app_context():
        ada = workspaces.get_membership("acme", cast.ada.id)
        endpoint = endpoints.create(
            ada, f"http://127.0.0.1:{hooks.port}{LONG}", EVERYTHING, outbound=outbound(), by=OPERATOR
        )
        job_in("completed", cast.acme)
        sender.send_due(outbound(), lambda: True)
        hooks.status, hooks.answer = 500, b"x" * 3000
        job_in("lost", cast.acme)
        sender.send_due(outbound(), lambda: True)
    return endpoint.id


@pytest.fixture
def disabled(app: Flask, failing: uuid.UUID, hooks: Receiver, cast: Cast) -> uuid.UUID:
    """The same endpoint after it said that it is gone."""
    hooks.status = 410
    with app.app_context():
        job_in("canceled", cast.acme)
        sender.send_due(outbound(), lambda: True)
    return failing


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details:not(.menu)').forEach((one) => one.open = true)")


def test_the_list_empty_and_with_a_fault(still: Page) -> None:
    still.goto("/w/acme/settings/webhooks")
    assert_clean(still)
    still.fill("#url", "http://10.0.0.1/")
    for box in still.locator("[name=events]").all():
        box.uncheck()
    still.get_by_role("button", name="Create webhook").click()
    expect(still.locator("#url-wrong")).to_contain_text("private network")
    expect(still.locator("#events-wrong")).to_be_visible()
    assert_clean(still)


def test_a_webhook_and_its_messages(still: Page, failing: uuid.UUID) -> None:
    for address in ("", f"/{failing}", f"/{failing}/delete"):
        still.goto(f"/w/acme/settings/webhooks{address}")
        unfold(still)
        assert_clean(still)


def test_a_disabled_webhook_and_the_notice_of_it(still: Page, disabled: uuid.UUID) -> None:
    for address in ("/w/acme/jobs", f"/w/acme/settings/webhooks/{disabled}"):
        still.goto(address)
        expect(still.locator(".notice")).to_be_visible()
        assert_clean(still)


def test_long_words_do_not_push_a_page_of_webhooks_out_of_the_window(page: Page, disabled: uuid.UUID) -> None:
    settings = "/w/acme/settings/webhooks"
    for address in ("/w/acme/jobs", settings, f"{settings}/{disabled}", f"{settings}/{disabled}/delete"):
        page.goto(address)
        unfold(page)
        assert_narrow(page)


def test_without_scripts_a_webhook_is_made_tried_and_deleted(
    address: str, browser: Browser, cast: Cast, hooks: Receiver
) -> None:
    with browser.new_context(base_url=address, java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page)
        page.goto("/w/acme/settings/webhooks")
        page.fill("#url", "https://hooks.example.com/in")
        page.get_by_role("button", name="Create webhook").click()
        expect(page.locator("#secret")).to_contain_text("whsec_")
        page.get_by_role("link", name="Go to the webhook").click()
        expect(page.locator("main")).not_to_contain_text("whsec_")
        page.get_by_role("button", name="Send a test message").click()
        expect(page.locator(".hooks")).to_contain_text("ping")
        page.get_by_role("link", name="Delete this webhook").click()
        page.get_by_role("button", name="Delete the webhook").click()
        expect(page.locator(".flash")).to_contain_text("deleted")
