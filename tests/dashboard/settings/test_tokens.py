"""The tokens of a workspace in the browser: made, shown once, revoked."""

import html
import logging
import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from webapp.core.audit import SYSTEM
from webapp.core.models import Role
from webapp.core.workspaces import members, tokens

PAGES = "/w/acme/settings/tokens"
GOOD: Mapping[str, object] = {"name": "nightly import", "scopes": ["jobs:read", "jobs:write"], "expires_at": ""}


@pytest.fixture
def ada(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ada, who owns acme, is signed in."""
    sign_in(client, "ada@example.com")
    return client


def post(client: FlaskClient, address: str, data: Mapping[str, object] | None = None) -> TestResponse:
    token = csrf_token(client.get("/w/acme/jobs").text)
    return client.post(address, data={"csrf_token": token} | dict(data or {}))


def text_of(answer: TestResponse) -> str:
    shown = re.search(r'id="token"[^>]*>(cb_[0-9a-f]+_[0-9a-f]+)</pre>', answer.text)
    assert shown, answer.text
    return shown[1]


def call_with(app: Flask, text: str) -> int:
    return app.test_client().get("/api/v1/jobs", headers={"Authorization": f"Bearer {text}"}).status_code


def test_a_token_is_shown_once_with_a_first_call_and_in_no_address_cookie_or_log(
    app: Flask, ada: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = post(ada, PAGES, GOOD)
    text = text_of(answer)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    shown = html.unescape(answer.text)
    assert f'curl http://127.0.0.1:8000/api/v1/jobs \\\n  -H "Authorization: Bearer {text}"' in shown
    secret = text.split("_")[2]
    cookie = ada.get_cookie(ada.application.config["SESSION_COOKIE_NAME"])
    session = app.session_interface.get_signing_serializer(app).loads(cookie.value)  # type: ignore[attr-defined,union-attr]
    assert secret not in repr(session)
    assert secret not in "".join(answer.headers.getlist("Set-Cookie"))
    assert secret not in caplog.text
    assert call_with(app, text) == 200
    page = ada.get(PAGES).text
    assert "nightly import" in page
    assert secret not in page


@pytest.mark.parametrize(
    ("scopes", "first_call"),
    [
        (["jobs:read"], "curl http://127.0.0.1:8000/api/v1/jobs \\"),
        (["jobs:cancel"], "curl -X POST http://127.0.0.1:8000/api/v1/jobs/ID/cancel"),
    ],
)
def test_the_first_call_is_one_that_the_token_allows(ada: FlaskClient, scopes: list[str], first_call: str) -> None:
    shown = html.unescape(post(ada, PAGES, {**GOOD, "scopes": scopes}).text)
    assert first_call in shown
    assert "hello.world" not in shown


def test_a_token_with_a_last_day_opens_until_the_end_of_it(app: Flask, clock: Clock, cast: Cast) -> None:
    ada = app.test_client()
    sign_in(ada, "ada@example.com")
    text = text_of(post(ada, PAGES, {**GOOD, "expires_at": "2026-11-25"}))
    clock.advance(hours=35, minutes=59)
    assert call_with(app, text) == 200
    clock.advance(minutes=1)
    assert call_with(app, text) == 401
    assert '<span class="status status-canceled">expired</span>' in ada.get(PAGES).text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "A name of 1 to 100 characters, in one line."),
        ({"name": "a\0b"}, "A name of 1 to 100 characters, in one line."),
        ({"scopes": []}, "One or more of jobs:read, jobs:write, jobs:cancel."),
        ({"scopes": ["jobs:all"]}, "One or more of jobs:read, jobs:write, jobs:cancel."),
        ({"expires_at": "2020-01-01"}, "A moment in the future."),
        ({"expires_at": "tomorrow"}, "A day, as in 2026-11-24, or nothing."),
    ],
)
def test_what_is_no_token_is_told_beside_the_field(ada: FlaskClient, wrong: Mapping[str, object], said: str) -> None:
    answer = post(ada, PAGES, {**GOOD, **wrong})
    assert (answer.status_code, said in answer.text) == (422, True)
    assert "nightly import" not in ada.get(PAGES).text


def test_a_token_is_revoked_by_its_name_and_refused_at_once(app: Flask, ada: FlaskClient, token: str) -> None:
    [ask] = re.findall(rf'href="({PAGES}/[^"]+/revoke)"', ada.get(PAGES).text)
    assert "Revoke the token a runner of acme?" in ada.get(ask).text
    assert call_with(app, token) == 200
    assert post(ada, ask).location == PAGES
    assert call_with(app, token) == 401
    page = ada.get(PAGES).text
    assert "The token a runner of acme is refused from now on." in page
    assert '<span class="status status-failed">revoked</span>' in page
    assert ask not in page


def test_a_token_of_another_workspace_is_not_found_and_goes_on_opening(
    app: Flask, ada: FlaskClient, cast: Cast, other_token: str
) -> None:
    with app.app_context():
        [theirs] = tokens.list_tokens(cast.other.id)
    for answer in (ada.get(f"{PAGES}/{theirs.id}/revoke"), post(ada, f"{PAGES}/{theirs.id}/revoke")):
        assert answer.status_code == 404
    assert "a runner of other" not in ada.get(PAGES).text
    assert call_with(app, other_token) == 200


def test_a_member_sees_no_token_and_makes_and_revokes_none(
    app: Flask, client: FlaskClient, cast: Cast, token: str
) -> None:
    sign_in(client, "ben@example.com")
    with app.app_context():
        [known] = tokens.list_tokens(cast.acme.id)
    assert client.get(PAGES).status_code == 403
    assert post(client, PAGES, GOOD).status_code == 403
    assert post(client, f"{PAGES}/{known.id}/revoke").status_code == 403
    assert call_with(app, token) == 200


@pytest.mark.parametrize(("person", "leads"), [("ada", True), ("cleo", True), ("ben", False)])
def test_who_may_make_a_token_is_led_there_and_who_may_not_is_told_whom_to_ask(
    app: Flask, client: FlaskClient, cast: Cast, person: str, leads: bool
) -> None:
    with app.app_context():
        members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    sign_in(client, f"{person}@example.com")
    for address in ("/w/acme/jobs", "/w/acme/connect"):
        page = client.get(address).text
        assert (f'href="{PAGES}"' in page) is leads
        assert ("Ask the owner or an admin of Acme for a token" in page) is not leads


# --- rotated -----------------------------------------------------------------------------------------------------


def test_a_new_token_ends_in_a_year_unless_the_day_is_changed(ada: FlaskClient, clock: Clock) -> None:
    in_a_year = (clock.now() + timedelta(days=365)).date()
    assert f'value="{in_a_year.isoformat()}"' in ada.get(PAGES).text
    post(ada, PAGES, {**GOOD, "expires_at": ""})
    assert "never expires" in ada.get(PAGES).text


def test_a_token_is_rotated_on_its_page_and_the_old_one_works_a_while(
    app: Flask, ada: FlaskClient, clock: Clock
) -> None:
    old = text_of(post(ada, PAGES, GOOD))
    path = re.search(r'href="([^"]+/rotate)"', ada.get(PAGES).text)
    assert path
    assert 'value="7"' in ada.get(path[1]).text
    for overlap in ("", "soon", "-1", "91"):
        assert post(ada, path[1], {"overlap": overlap}).status_code == 422
    answer = post(ada, path[1], {"overlap": "2", "expires_at": ""})
    new = text_of(answer)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert f"The old token, <code>cb_{old.split('_')[1]}_…</code>, works until" in answer.text
    assert [call_with(app, text) for text in (old, new)] == [200, 200]
    clock.advance(days=2)
    assert [call_with(app, text) for text in (old, new)] == [401, 200]


def test_a_member_cannot_rotate_a_token(app: Flask, ada: FlaskClient) -> None:
    ben = app.test_client()
    sign_in(ben, "ben@example.com")
    post(ada, PAGES, GOOD)
    path = re.search(r'href="([^"]+/rotate)"', ada.get(PAGES).text)
    assert path
    assert [ben.get(path[1]).status_code, post(ben, path[1], {"overlap": "7"}).status_code] == [403, 403]
