"""The password is asked for again before an act that gives access away or destroys; nothing filled in is lost."""

import re
import uuid
from collections.abc import Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.pages import csrf_token, post, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.core.database.session import db
from webapp.core.models import ApiToken, Workspace
from webapp.core.workspaces import tokens

ASKS = 'name="confirm_password"'
SETTINGS = "/w/acme/settings"
TOKEN = {"name": "nightly & <b>", "scopes": ["jobs:read", "jobs:write"], "expires_at": ""}
FREE = {
    "workspace.settings.rename_workspace",
    "workspace.settings.update_origins",
    "workspace.settings.ping_webhook",
    "workspace.settings.redeliver_message",
    "workspace.settings.redeliver_failed_messages",
    "workspace.members.leave_workspace",
    "workspace.members.revoke_invitation",
}
"""Acts that hand out no access and destroy nothing for others, or only oneself's part; and settings of jobs."""
OF_JOBS = re.compile(r"time_limits?|retention|limits?$")


@pytest.fixture
def ada(app: Flask, cast: Cast, clock: Clock) -> FlaskClient:
    """A browser in which Ada typed her password a quarter of an hour ago."""
    client = app.test_client()
    sign_in(client, "ada@example.com")
    clock.advance(minutes=15)
    return client


def token_names(app: Flask, cast: Cast) -> list[str]:
    with app.app_context():
        return [token.name for token in tokens.list_tokens(cast.acme.id)]


def resend(client: FlaskClient, page: str, address: str, **typed: str) -> TestResponse:
    """Send the form of the page that asks, with all that it holds, as a browser does."""
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    data: dict[str, list[str]] = {}
    for name, value in hidden:
        data.setdefault(name, []).append(value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return client.post(address, data=data | typed)


def test_a_form_that_was_filled_in_goes_through_once_the_password_is_typed(
    app: Flask, ada: FlaskClient, cast: Cast
) -> None:
    question = post(ada, f"{SETTINGS}/tokens", TOKEN)
    assert (question.status_code, ASKS in question.text) == (403, True)
    assert token_names(app, cast) == []
    wrong = resend(ada, question.text, f"{SETTINGS}/tokens", confirm_password="wrong horse battery")
    assert (wrong.status_code, "That is not your password." in wrong.text) == (422, True)
    assert "wrong horse battery" not in wrong.text
    made = resend(ada, wrong.text, f"{SETTINGS}/tokens", confirm_password=PASSWORD)
    assert (made.status_code, ASKS in made.text) == (200, False)
    with app.app_context():
        [token] = db.session.query(ApiToken).all()
        assert (token.name, token.scopes) == ("nightly & <b>", ["jobs:read", "jobs:write"])


def test_it_is_not_asked_for_again_within_a_quarter_of_an_hour(
    app: Flask, ada: FlaskClient, cast: Cast, clock: Clock
) -> None:
    question = post(ada, f"{SETTINGS}/tokens", TOKEN)
    resend(ada, question.text, f"{SETTINGS}/tokens", confirm_password=PASSWORD)
    clock.advance(minutes=14, seconds=59)
    assert ASKS not in post(ada, f"{SETTINGS}/tokens", TOKEN).text
    clock.advance(seconds=1)
    assert ASKS in post(ada, f"{SETTINGS}/tokens", TOKEN).text
    assert len(token_names(app, cast)) == 2


def test_the_password_is_no_more_to_be_guessed_here_than_at_the_login(ada: FlaskClient) -> None:
    page = post(ada, f"{SETTINGS}/tokens", TOKEN).text
    for _ in range(10):
        assert resend(ada, page, f"{SETTINGS}/tokens", confirm_password="a guess of many").status_code == 422
    refusal = resend(ada, page, f"{SETTINGS}/tokens", confirm_password=PASSWORD)
    assert (refusal.status_code, "Retry-After" in refusal.headers, ASKS in refusal.text) == (429, True, True)


def test_to_type_it_in_one_browser_confirms_no_other(app: Flask, ada: FlaskClient, cast: Cast, clock: Clock) -> None:
    sign_in(app.test_client(), "ada@example.com")
    assert ASKS in post(ada, f"{SETTINGS}/tokens", TOKEN).text


def test_a_workspace_is_deleted_after_the_password(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    question = post(ada, f"{SETTINGS}/general/delete", {"name": "Acme"})
    assert ASKS in question.text
    with app.app_context():
        assert db.session.get(Workspace, cast.acme.id).deleted_at is None  # type: ignore[union-attr]
    resend(ada, question.text, f"{SETTINGS}/general/delete", confirm_password=PASSWORD)
    with app.app_context():
        assert db.session.get(Workspace, cast.acme.id).deleted_at  # type: ignore[union-attr]


def acts(app: Flask) -> Mapping[str, str]:
    """The address of each act of the settings, by its endpoint."""
    ids = {"slug": "acme", "user_id": uuid.UUID(int=7), "token_id": uuid.UUID(int=7)}
    ids |= {name: uuid.UUID(int=7) for name in ("webhook_id", "delivery_id", "invitation_id")}
    rules = [rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ()) and "/settings" in rule.rule]
    built = {rule.endpoint: rule.build(ids, append_unknown=False) for rule in rules}
    assert all(built.values()), built
    return {endpoint: parts[1] for endpoint, parts in built.items() if parts}


def test_every_act_of_the_settings_asks_unless_it_is_named_as_one_that_need_not(app: Flask, ada: FlaskClient) -> None:
    token = csrf_token(ada.get("/w/acme/jobs").text)
    asking = {
        endpoint
        for endpoint, path in acts(app).items()
        if ASKS in ada.post(path, data={"csrf_token": token, "role": "admin", "name": "Acme"}).text
    }
    left = {endpoint for endpoint in acts(app) if not OF_JOBS.search(endpoint)} - asking
    assert left == FREE
    assert len(asking) >= 10
