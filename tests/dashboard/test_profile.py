"""One's own page: another password, the browsers one is signed in with, and out of them."""

import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.concurrency import at_once
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.core import audit
from webapp.core.accounts import sessions
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.models import AuditEntry
from webapp.dashboard.browser_names import describe_browser

NEW = "another horse battery"
GOOD = {"present": PASSWORD, "password": NEW, "again": NEW}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"


def browser_of(app: Flask, email: str = "ben@example.com", agent: str = FIREFOX) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = agent
    sign_in(client, email)
    return client


@pytest.fixture
def ben(app: Flask, cast: Cast) -> FlaskClient:
    """A browser in which Ben is signed in."""
    return browser_of(app)


def post(client: FlaskClient, address: str, data: Mapping[str, object] | None = None) -> TestResponse:
    token = csrf_token(client.get("/profile").text)
    return client.post(address, data={"csrf_token": token} | dict(data or {}))


def actions(app: Flask) -> list[str]:
    with app.app_context():
        return [entry.action for entry in db.session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id))]


def copy_of(app: Flask, client: FlaskClient) -> FlaskClient:
    """A browser of somebody who took the cookie out of another one."""
    cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    thief = app.test_client()
    thief.set_cookie(cookie.key, cookie.value)
    return thief


def is_in(client: FlaskClient) -> bool:
    return client.get("/profile").status_code == 200


def test_ones_name_on_every_page_leads_to_ones_profile(ben: FlaskClient) -> None:
    assert re.search(r'<a class="me" href="/profile"[^>]*>Ben</a>', ben.get("/w/acme/jobs").text)


def test_who_is_not_signed_in_is_led_to_the_login(client: FlaskClient, cast: Cast) -> None:
    assert client.get("/profile").location == "/login?next=/profile"
    token = csrf_token(client.get("/login").text)
    assert client.post("/profile/sessions/end", data={"csrf_token": token}).status_code == 303


# --- the password ------------------------------------------------------------------------------------------------


def test_a_new_password_opens_from_now_on_and_ends_the_other_sessions(app: Flask, ben: FlaskClient) -> None:
    elsewhere, ada = browser_of(app), browser_of(app, "ada@example.com")
    assert post(ben, "/profile/password", GOOD).location == "/profile"
    assert "Your password is changed" in ben.get("/profile").text
    assert (is_in(ben), is_in(elsewhere), is_in(ada)) == (True, False, True)
    sign_in(app.test_client(), "ben@example.com", NEW)
    assert "user.password_changed" in actions(app)


def test_a_copied_cookie_is_worth_nothing_once_the_password_was_changed(app: Flask, ben: FlaskClient) -> None:
    thief = copy_of(app, ben)
    assert is_in(thief)
    post(ben, "/profile/password", GOOD)
    assert (is_in(ben), is_in(thief)) == (True, False)


def test_the_form_of_a_copied_cookie_is_refused_once_the_password_was_changed(ben: FlaskClient) -> None:
    known_token = csrf_token(ben.get("/profile").text)
    post(ben, "/profile/password", GOOD)
    assert ben.post("/profile/sessions/end", data={"csrf_token": known_token}).status_code == 400


@pytest.mark.parametrize("form", ["/profile/sessions/end", "/logout"])
def test_signed_out_ends_the_session_that_a_thief_holds_a_copy_of(app: Flask, ben: FlaskClient, form: str) -> None:
    thief = copy_of(app, ben)
    post(ben, form)
    assert not is_in(thief)


def test_a_sign_in_under_way_is_ended_by_signing_out_everywhere(
    app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session of the sign-in is written, and not yet committed, when everything is signed out."""
    record, is_written = audit.record, threading.Event()

    def record_late(session: Session, action: str, *args: Any, **more: Any) -> None:
        if action == "user.signed_in":
            session.flush()
            is_written.set()
            time.sleep(0.3)
        record(session, action, *args, **more)

    monkeypatch.setattr(audit, "record", record_late)

    def sign_in_late() -> None:
        sessions.sign_in("ben@example.com", PASSWORD, address="127.0.0.1")

    def sign_out_meanwhile() -> None:
        assert is_written.wait(timeout=5)
        sessions.end_all_sessions(cast.ben, by=SYSTEM)

    at_once(app, sign_in_late, sign_out_meanwhile)
    with app.app_context():
        assert sessions.list_sessions(cast.ben) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"present": "wrong horse battery"}, "That is not your present password."),
        ({"present": ""}, "That is not your present password."),
        ({"password": "short", "again": "short"}, "A password of 10 to 1000 characters."),
        ({"again": "something else entirely"}, "The two passwords are not the same."),
    ],
)
def test_a_password_that_is_not_changed_says_why_and_signs_nobody_out(
    app: Flask, ben: FlaskClient, wrong: Mapping[str, str], said: str
) -> None:
    elsewhere = browser_of(app)
    answer = post(ben, "/profile/password", {**GOOD, **wrong})
    assert (answer.status_code, said in answer.text) == (422, True)
    assert NEW not in answer.text
    assert is_in(elsewhere)
    sign_in(app.test_client(), "ben@example.com")


def test_the_present_password_is_not_guessed_in_a_browser_left_open(ben: FlaskClient) -> None:
    for _ in range(10):
        assert post(ben, "/profile/password", {**GOOD, "present": "a guess, one of many"}).status_code == 422
    answer = post(ben, "/profile/password", GOOD)
    assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)
    assert "Too many attempts." in answer.text


# --- sessions ----------------------------------------------------------------------------------------------------


def test_each_browser_is_listed_with_since_when_last_seen_and_from_where(app: Flask, clock: Clock, cast: Cast) -> None:
    browser_of(app, agent="Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36")
    clock.advance(hours=1)
    here = browser_of(app)
    browser_of(app, "ada@example.com", "curl/8")
    page = here.get("/profile").text.partition("Recent sign-ins")[0]
    assert re.findall(r"<b>([^<]+)</b>", page) == ["Firefox on Linux", "Chrome on Windows"]
    first, second = re.findall(r'<li id="session-.*?</li>', page, re.DOTALL)
    assert ("<span>this browser</span>" in first, "<span>this browser</span>" in second) == (True, False)
    assert "signed in" in second
    assert 'datetime="2026-11-24T12:00:00.000Z"' in second
    assert "from 127.0.0.1" in second


def test_one_signs_out_of_another_browser_and_stays_here(app: Flask, ben: FlaskClient) -> None:
    elsewhere = browser_of(app)
    listed = re.findall(r'<li id="session-.*?</li>', elsewhere.get("/profile").text, re.DOTALL)
    assert len(listed) == 2
    [theirs] = [row for row in listed if "this browser</span>" in row]
    [end] = re.findall(r'action="([^"]+)"', theirs)
    assert post(ben, end).location == "/profile"
    assert (is_in(ben), is_in(elsewhere)) == (True, False)
    assert "user.session_ended" in actions(app)


def test_one_signs_out_everywhere(app: Flask, ben: FlaskClient) -> None:
    elsewhere, ada = browser_of(app), browser_of(app, "ada@example.com")
    assert post(ben, "/profile/sessions/end").location == "/login"
    assert "You are signed out everywhere." in ben.get("/login").text
    assert (is_in(ben), is_in(elsewhere), is_in(ada)) == (False, False, True)
    assert "user.signed_out_everywhere" in actions(app)


def test_a_session_of_somebody_else_is_not_found_and_goes_on(app: Flask, ben: FlaskClient) -> None:
    ada = browser_of(app, "ada@example.com")
    [theirs] = re.findall(r'action="(/profile/sessions/[^"]+/end)"', ada.get("/profile").text)
    assert post(ben, theirs).status_code == 404
    assert is_in(ada)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iOS"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("", "unknown browser"),
        (None, "unknown browser"),
    ],
)
def test_a_browser_is_told_in_short_words(agent: str | None, words: str) -> None:
    assert describe_browser(agent) == words
