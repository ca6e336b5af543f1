"""The pages that take a person's rights away: they list their tokens and webhooks, and revoke what stays ticked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from tests.support.webhooks import EVERYTHING, PRIVATE
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.transactions import write_transaction
from webapp.core.models import ApiToken, Role, WebhookEndpoint
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import members, tokens, workspaces
from webapp.extensions import outbound

PAGE = "/w/acme/settings/members"
HOOK = "http://127.0.0.1:9/hook"


@pytest.fixture
def settings() -> Mapping[str, str]:
    return PRIVATE


@dataclass(frozen=True)
class Possessions:
    """What Cleo, an admin of acme, has created there."""

    token: ApiToken
    text: str
    endpoint: WebhookEndpoint


@pytest.fixture
def hers(app: Flask, cast: Cast) -> Possessions:
    with app.app_context():
        members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
        me, by = workspaces.get_membership("acme", cast.cleo.id), Actor(cast.cleo.ref)
        token, text = tokens.create(me, "nightly import", scopes=tokens.RUNNER_SCOPES, by=by)
        return Possessions(token, text, endpoints.create(me, HOOK, EVERYTHING, outbound=outbound(), by=by))


def browser(app: Flask, email: str) -> FlaskClient:
    client = app.test_client()
    sign_in(client, email)
    return client


def submit(client: FlaskClient, path: str, ticked: Sequence[str] | None = None) -> TestResponse:
    """Send the form of a page as it stands, with only these boxes ticked if they are given."""
    page = client.get(path).text
    answer: dict[str, object] = {"csrf_token": csrf_token(page)}
    answer["listed"] = re.findall(r'name="listed" value="([^"]+)"', page)
    boxes = re.findall(r'name="revoke" value="([^"]+)" checked', page)
    answer["revoke"] = boxes if ticked is None else [box for box in boxes if box in ticked]
    if role := re.search(r'name="role" value="(\w+)"', page):
        answer["role"] = role[1]
    return client.post(path, data=answer)


def text(client: FlaskClient, path: str) -> str:
    """The words of a page, without its markup."""
    return " ".join(re.sub(r"</?bdi>", "", client.get(path).text).split())


def is_accepted(app: Flask, hers: Possessions) -> bool:
    with app.app_context():
        return tokens.authenticate(hers.text) is not None


def is_sent_to(app: Flask, cast: Cast, hers: Possessions) -> bool:
    with app.app_context():
        return endpoints.get(cast.acme.id, hers.endpoint.id).disabled_at is None


def farewell(cast: Cast, way: str) -> tuple[str, str]:
    """Who opens which page to take Cleo's rights away."""
    if way == "leave":
        return cast.cleo.email, f"{PAGE}/leave"
    return cast.ada.email, f"{PAGE}/{cast.cleo.id}/{way}"


ways = pytest.mark.parametrize("way", ["remove", "role", "leave"])


@ways
def test_the_page_lists_tokens_and_webhooks_ticked_and_revokes_them(
    app: Flask, cast: Cast, hers: Possessions, way: str
) -> None:
    who, path = farewell(cast, way)
    client = browser(app, who)
    page = client.get(path).text
    assert "nightly import" in page
    assert HOOK in page
    assert page.count('name="revoke"') == page.count(" checked") == 2
    assert submit(client, path).status_code == 303
    assert (is_accepted(app, hers), is_sent_to(app, cast, hers)) == (False, False)


@ways
def test_what_is_unticked_keeps_working_under_the_name_of_who_took_it_over(
    app: Flask, cast: Cast, hers: Possessions, way: str
) -> None:
    who, path = farewell(cast, way)
    assert submit(browser(app, who), path, ticked=[str(hers.endpoint.id)]).status_code == 303
    assert (is_accepted(app, hers), is_sent_to(app, cast, hers)) == (True, False)
    page = text(browser(app, "ada@example.com"), "/w/acme/settings/tokens")
    assert "by Cleo, taken over by Ada" in page


@ways
def test_a_form_sent_without_boxes_revokes(app: Flask, cast: Cast, hers: Possessions, way: str) -> None:
    who, path = farewell(cast, way)
    client = browser(app, who)
    client.post(path, data={"csrf_token": csrf_token(client.get("/?all").text), "role": "member"})
    assert (is_accepted(app, hers), is_sent_to(app, cast, hers)) == (False, False)


def test_what_came_to_be_after_the_page_was_shown_is_revoked(app: Flask, cast: Cast, hers: Possessions) -> None:
    client = browser(app, "ada@example.com")
    form = {"csrf_token": csrf_token(client.get(f"{PAGE}/{cast.cleo.id}/remove").text), "listed": [str(hers.token.id)]}
    with app.app_context():
        me = workspaces.get_membership("acme", cast.cleo.id)
        _, late = tokens.create(me, "late", scopes=tokens.RUNNER_SCOPES, by=Actor(cast.cleo.ref))
    client.post(f"{PAGE}/{cast.cleo.id}/remove", data=form)
    with app.app_context():
        assert (bool(tokens.authenticate(hers.text)), bool(tokens.authenticate(late))) == (True, False)


def test_who_stands_for_nothing_is_removed_without_a_list(app: Flask, cast: Cast) -> None:
    page = browser(app, "ada@example.com").get(f"{PAGE}/{cast.ben.id}/remove").text
    assert "Their tokens and webhooks" not in page


def test_a_token_whose_sponsor_is_gone_is_marked_and_can_be_taken_over(
    app: Flask, cast: Cast, hers: Possessions
) -> None:
    # As a server of the version before does it: the account alone is closed.
    with app.app_context(), write_transaction() as session:
        accounts.close(session, cast.cleo, by=SYSTEM)
    ada = browser(app, "ada@example.com")
    page = ada.get("/w/acme/settings/tokens").text
    assert "Refused since Cleo may no longer create tokens here." in text(ada, "/w/acme/settings/tokens")
    path = f"/w/acme/settings/tokens/{hers.token.id}/adopt"
    assert not is_accepted(app, hers)
    assert ada.post(path, data={"csrf_token": csrf_token(page)}).status_code == 303
    assert is_accepted(app, hers)
    webhook = ada.get(f"/w/acme/settings/webhooks/{hers.endpoint.id}").text
    assert "Nothing is sent since Cleo may no longer create webhooks here." in text(
        ada, f"/w/acme/settings/webhooks/{hers.endpoint.id}"
    )
    assert "Resend failed messages" not in webhook
    assert "stopped" in ada.get("/w/acme/settings/webhooks").text
    enable = f"/w/acme/settings/webhooks/{hers.endpoint.id}/enable"
    assert ada.post(enable, data={"csrf_token": csrf_token(webhook)}).status_code == 303
    assert "stopped" not in ada.get("/w/acme/settings/webhooks").text
    assert "Resend failed messages" in ada.get(f"/w/acme/settings/webhooks/{hers.endpoint.id}").text


def test_a_member_takes_over_no_token_and_a_stranger_finds_none(app: Flask, cast: Cast, hers: Possessions) -> None:
    ben = browser(app, "ben@example.com")
    form = {"csrf_token": csrf_token(ben.get("/?all").text)}
    assert ben.post(f"/w/acme/settings/tokens/{hers.token.id}/adopt", data=form).status_code == 403
    cleo = browser(app, "cleo@example.com")
    form = {"csrf_token": csrf_token(cleo.get("/?all").text)}
    assert cleo.post(f"/w/other/settings/tokens/{hers.token.id}/adopt", data=form).status_code == 404
