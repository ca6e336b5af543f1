"""The webhooks of a workspace in the browser: who may see them, what the forms do, and what the pages tell."""

import html
import re
import uuid
from collections.abc import Callable, Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.jobs import OPERATOR, job_in
from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from tests.support.receiver import Receiver
from tests.support.webhooks import EVERYTHING, PRIVATE, exhaust, list_deliveries, send
from webapp.core.audit import SYSTEM
from webapp.core.limits import limits
from webapp.core.models import Role, WebhookEndpoint
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import members, workspaces
from webapp.extensions import outbound

PAGES = "/w/acme/settings/webhooks"


@pytest.fixture
def settings() -> Mapping[str, str]:
    return PRIVATE


@pytest.fixture
def ada(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ada, who owns acme, is signed in."""
    sign_in(client, "ada@example.com")
    return client


@pytest.fixture
def endpoint(app: Flask, cast: Cast, hooks: Receiver) -> WebhookEndpoint:
    with app.app_context():
        return endpoints.create(
            workspaces.get_membership("acme", cast.ada.id), hooks.url, EVERYTHING, outbound=outbound(), by=OPERATOR
        )


@pytest.fixture
def job_ends(app: Flask, cast: Cast) -> Callable[[str], uuid.UUID]:
    """``job_ends("failed")``: a job of acme ends, and what is due is sent."""

    def end(state: str) -> uuid.UUID:
        with app.app_context():
            job_id = job_in(state, cast.acme).id
            send()
            return job_id

    return end


def post(client: FlaskClient, address: str, data: Mapping[str, object] | None = None) -> TestResponse:
    token = csrf_token(client.get("/w/acme/jobs").text)
    return client.post(address, data={"csrf_token": token} | dict(data or {}))


def page_of(endpoint: WebhookEndpoint) -> str:
    return f"{PAGES}/{endpoint.id}"


def kept(app: Flask, cast: Cast) -> list[WebhookEndpoint]:
    with app.app_context():
        return list(endpoints.list_endpoints(cast.acme.id))


# --- who may -----------------------------------------------------------------------------------------------------


@pytest.fixture
def addresses(app: Flask, endpoint: WebhookEndpoint, job_ends: Callable[[str], uuid.UUID]) -> list[tuple[str, str]]:
    """The method and the address of every page and form, of a webhook and a message that exist."""
    job_ends("completed")
    with app.app_context():
        [sent] = list_deliveries()
    here, message = page_of(endpoint), f"{page_of(endpoint)}/deliveries/{sent.id}"
    pages = [PAGES, here, f"{here}/delete", f"{message}/body"]
    forms = [
        PAGES,
        here,
        *(f"{here}/{act}" for act in ("enable", "ping", "again", "delete", "secret")),
        f"{message}/again",
    ]
    return [("GET", page) for page in pages] + [("POST", form) for form in forms]


def test_a_member_is_refused_on_every_page_and_form_and_learns_nothing(
    app: Flask, client: FlaskClient, cast: Cast, endpoint: WebhookEndpoint, addresses: list[tuple[str, str]]
) -> None:
    sign_in(client, "ben@example.com")
    for method, address in addresses:
        answer = client.get(address) if method == "GET" else post(client, address)
        assert answer.status_code == 403, (method, address)
        assert endpoint.secret not in answer.text
    assert [one.id for one in kept(app, cast)] == [endpoint.id]


def test_a_stranger_finds_nothing_at_any_address(
    app: Flask, client: FlaskClient, cast: Cast, addresses: list[tuple[str, str]]
) -> None:
    sign_in(client, "cleo@example.com")
    token = csrf_token(client.get("/w/other/jobs").text)
    form = {"csrf_token": token, "url": "https://evil.example", "events": ["job.lost"], "since": "2026-01-01T00:00"}
    for method, address in addresses:
        assert client.open(address, method=method, data=form).status_code == 404, (method, address)
        if address != PAGES:
            through_hers = address.replace("acme", "other")
            assert client.open(through_hers, method=method, data=form).status_code == 404, (method, through_hers)
    [untouched] = kept(app, cast)
    assert untouched.url != form["url"]


@pytest.mark.parametrize("act", ["", "/enable", "/ping", "/again", "/delete", "/secret"])
def test_a_form_from_elsewhere_does_nothing(ada: FlaskClient, endpoint: WebhookEndpoint, act: str) -> None:
    assert ada.post(f"{page_of(endpoint)}{act}").status_code == 400


# --- create, change, delete --------------------------------------------------------------------------------------


def test_a_webhook_is_created_and_its_secret_shown_once_with_how_to_verify(
    app: Flask, ada: FlaskClient, cast: Cast
) -> None:
    assert "Nothing sent yet" not in ada.get(PAGES).text
    answer = post(ada, PAGES, {"url": "https://hooks.example.com/in", "events": ["job.failed", "job.lost"]})
    [made] = kept(app, cast)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert made.events == ["job.failed", "job.lost"]
    assert answer.text.count(html.escape(made.secret)) == 2
    assert "from standardwebhooks import Webhook" in answer.text
    assert "whsec_" not in ada.get(page_of(made)).text
    listed = ada.get(PAGES).text
    assert "https://hooks.example.com/in" in listed
    assert made.secret not in listed
    assert "Nothing sent yet." in listed


def test_a_new_secret_is_shown_once_and_the_former_is_good_for_a_day(
    app: Flask, ada: FlaskClient, cast: Cast, endpoint: WebhookEndpoint
) -> None:
    answer = post(ada, f"{page_of(endpoint)}/secret")
    [rotated] = kept(app, cast)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert rotated.secret != endpoint.secret
    assert rotated.previous_secret == endpoint.secret
    assert html.escape(rotated.secret) in answer.text
    assert html.escape(endpoint.secret) not in answer.text
    page = ada.get(page_of(endpoint)).text
    assert "The former secret signs as well until" in page
    assert "whsec_" not in page


def test_faults_are_told_beside_the_fields_and_what_was_typed_stays(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    answer = post(ada, PAGES, {"url": "ftp://hooks.example.com", "events": []})
    assert answer.status_code == 422
    assert 'value="ftp://hooks.example.com"' in answer.text
    assert 'id="url-wrong"' in answer.text
    assert 'id="events-wrong"' in answer.text
    assert kept(app, cast) == []


def test_a_webhook_keeps_its_secret_unless_its_address_changes(
    app: Flask, ada: FlaskClient, cast: Cast, endpoint: WebhookEndpoint
) -> None:
    assert post(ada, page_of(endpoint), {"url": endpoint.url, "events": ["job.lost"]}).status_code == 303
    [changed] = kept(app, cast)
    assert (changed.events, changed.secret) == (["job.lost"], endpoint.secret)
    sent = {"url": "https://hooks.example.com/new", "events": ["job.lost"]}
    answer = post(ada, page_of(endpoint), sent)
    [moved] = kept(app, cast)
    assert (answer.status_code, moved.url, moved.previous_secret) == (200, sent["url"], None)
    assert moved.secret != endpoint.secret
    assert html.escape(moved.secret) in answer.text
    wrong = post(ada, page_of(endpoint), {"url": "", "events": ["job.lost"]})
    assert (wrong.status_code, 'id="url-wrong"' in wrong.text) == (422, True)


def test_deleting_asks_by_address_first(app: Flask, ada: FlaskClient, cast: Cast, endpoint: WebhookEndpoint) -> None:
    question = ada.get(f"{page_of(endpoint)}/delete")
    assert html.escape(endpoint.url) in question.text
    assert kept(app, cast) != []
    answer = post(ada, f"{page_of(endpoint)}/delete")
    assert (answer.status_code, answer.location) == (303, PAGES)
    assert kept(app, cast) == []
    assert ada.get(page_of(endpoint)).status_code == 404


def test_the_twenty_first_webhook_is_refused_and_the_form_is_gone(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    with app.app_context():
        owner = workspaces.get_membership("acme", cast.ada.id)
        for _ in range(limits.WEBHOOKS.default):
            endpoints.create(owner, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=SYSTEM)
    assert "Create webhook" not in ada.get(PAGES).text
    answer = post(ada, PAGES, {"url": "https://hooks.example.com", "events": ["job.lost"]})
    assert answer.status_code == 409
    assert "at most 20 webhooks" in answer.text


# --- messages ----------------------------------------------------------------------------------------------------


def test_a_message_is_shown_with_its_job_its_state_and_what_came_back_as_text(
    ada: FlaskClient, endpoint: WebhookEndpoint, hooks: Receiver, job_ends: Callable[[str], uuid.UUID]
) -> None:
    hooks.status, hooks.answer = 500, b"<script>alert(1)</script>"
    job_id = job_ends("failed")
    page = ada.get(page_of(endpoint)).text
    assert f'href="/w/acme/jobs/{job_id}"' in page
    assert "<b>job.failed</b>" in page
    assert "status-pending" in page
    assert re.search(r"1 attempt, the last\s+answered 500", page)
    assert re.search(r"after \d+ ms", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert re.search(r'status-canceled">failing', page)
    listed = ada.get(PAGES).text
    assert re.search(r"Last: job.failed .*, waiting,\s+answered 500", listed, re.DOTALL)


def test_the_body_is_shown_as_it_was_sent(
    app: Flask, ada: FlaskClient, endpoint: WebhookEndpoint, hooks: Receiver, job_ends: Callable[[str], uuid.UUID]
) -> None:
    job_ends("completed")
    with app.app_context():
        [message] = list_deliveries()
    answer = ada.get(f"{page_of(endpoint)}/deliveries/{message.id}/body")
    assert (answer.data, answer.mimetype) == (hooks.received[0].body, "application/json")
    assert ada.get(f"{page_of(endpoint)}/deliveries/{uuid.uuid4()}/body").status_code == 404


def test_one_message_and_all_that_failed_are_sent_again(
    app: Flask,
    ada: FlaskClient,
    cast: Cast,
    endpoint: WebhookEndpoint,
    hooks: Receiver,
    clock: Clock,
    job_ends: Callable[[str], uuid.UUID],
) -> None:
    hooks.status = 500
    job_ends("failed")
    job_ends("completed")
    with app.app_context():
        exhaust(clock)
        failed = [message.id for message in list_deliveries()]
    assert ada.get(f"{page_of(endpoint)}?failed").text.count('status-failed">failed') == 2
    hooks.status, hooks.received = 200, []
    answer = post(ada, f"{page_of(endpoint)}/deliveries/{failed[0]}/again")
    assert (answer.status_code, answer.location) == (303, page_of(endpoint))
    with app.app_context():
        send()
    assert hooks.ids == [str(failed[0])]
    assert ada.get(f"{page_of(endpoint)}?failed").text.count('status-failed">failed') == 1
    assert post(ada, f"{page_of(endpoint)}/again", {"since": "2026-11-24T12:00"}).status_code == 303
    with app.app_context():
        send()
    assert hooks.ids == [str(id) for id in failed]
    post(ada, f"{page_of(endpoint)}/again", {"since": "2026-11-24T12:00"})
    assert "No message has failed since then." in ada.get(page_of(endpoint)).text


def test_a_time_that_is_none_is_told_beside_the_field(ada: FlaskClient, endpoint: WebhookEndpoint) -> None:
    answer = post(ada, f"{page_of(endpoint)}/again", {"since": "yesterday"})
    assert answer.status_code == 422
    assert 'id="since-wrong"' in answer.text
    assert html.escape(endpoint.url) in answer.text


def test_a_test_message_is_sent(app: Flask, ada: FlaskClient, endpoint: WebhookEndpoint, hooks: Receiver) -> None:
    post(ada, f"{page_of(endpoint)}/ping")
    with app.app_context():
        send()
    assert hooks.received[0].verified(endpoint.secret)["type"] == "ping"
    assert "<b>ping</b>" in ada.get(page_of(endpoint)).text


def test_older_messages_are_a_page_away(
    app: Flask, ada: FlaskClient, cast: Cast, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.core.webhooks.history.PAGE_SIZE", 2)
    with app.app_context():
        for _ in range(3):
            job_in("completed", cast.acme)
    first = ada.get(page_of(endpoint)).text
    older = re.search(r'href="([^"]+before=[^"]+)"', first)
    assert older
    assert first.count('id="message-') == 2
    assert ada.get(html.unescape(older[1])).text.count('id="message-') == 1


# --- an endpoint that the board gave up --------------------------------------------------------------------------


@pytest.mark.parametrize(("person", "role"), [("ada", None), ("cleo", Role.ADMIN), ("ben", None)])
def test_the_job_list_tells_owners_and_admins_of_a_disabled_webhook(
    app: Flask,
    client: FlaskClient,
    cast: Cast,
    endpoint: WebhookEndpoint,
    hooks: Receiver,
    job_ends: Callable[[str], uuid.UUID],
    person: str,
    role: Role | None,
) -> None:
    if role:
        with app.app_context():
            members.add_unchecked(cast.acme, cast.cleo, role, by=SYSTEM)
    sign_in(client, f"{person}@example.com")
    assert "The board no longer tells" not in client.get("/w/acme/jobs").text
    hooks.status = 410
    job_ends("completed")
    page = client.get("/w/acme/jobs").text
    assert ("The board no longer tells" in page) == (person != "ben")
    assert (page_of(endpoint) in page) == (person != "ben")


def test_a_disabled_webhook_says_why_and_is_enabled_again(
    app: Flask, ada: FlaskClient, endpoint: WebhookEndpoint, hooks: Receiver, job_ends: Callable[[str], uuid.UUID]
) -> None:
    hooks.status = 410
    job_ends("completed")
    page = ada.get(page_of(endpoint)).text
    assert "It answered 410: gone for good." in page
    assert "Send a test message" not in page
    refused = post(ada, f"{page_of(endpoint)}/ping")
    assert (refused.status_code, "enable it first" in refused.text) == (409, True)
    assert post(ada, f"{page_of(endpoint)}/enable").status_code == 303
    assert "Send a test message" in ada.get(page_of(endpoint)).text
    assert "The board no longer tells" not in ada.get("/w/acme/jobs").text
