"""The cookie, the session behind it, and whom the board believes about where a person comes from."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Protocol

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner
from werkzeug.test import Cookie, TestResponse

from tests.support.apps import dispose, make_app
from tests.support.clock import Clock
from tests.support.mailbox import Mailbox
from tests.support.pages import csrf_token, sign_in
from tests.support.paths import ROOT
from tests.support.people import PASSWORD, Cast
from tests.support.waiting import wait_until
from webapp.core import clock
from webapp.core.accounts import accounts, attempts
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.mail import STEP_TIMEOUT
from webapp.core.models import AuditEntry, BrowserSession, LoginFailure, new_id
from webapp.dashboard import known_browsers
from webapp.logging import JsonFormatter

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/w/acme/jobs"}


class MakeApp(Protocol):
    def __call__(self, **environ: str) -> Flask: ...


@pytest.fixture
def configured(url: str) -> Iterator[MakeApp]:
    """The app on the test's database with other settings."""
    with ExitStack() as made:

        def make(**environ: str) -> Flask:
            app = make_app(url, **environ)
            made.callback(dispose, app)
            return app

        yield make


def sessions(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(BrowserSession)) or 0


def last_seen(app: Flask) -> datetime | None:
    with app.app_context():
        return db.session.scalar(sa.select(BrowserSession.last_seen_at))


def test_to_sign_in_again_ends_the_session_that_was_there(app: Flask, client: FlaskClient, cast: Cast) -> None:
    stranger = app.test_client()
    sign_in(client, "ben@example.com")
    cookie = client.get_cookie(client.application.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    # The token that the login page gave is gone with its session; any page of the board has another.
    form_token = csrf_token(client.get("/w/acme/jobs").text)
    login = {"email": "ben@example.com", "password": "correct horse battery", "csrf_token": form_token}
    assert client.post("/login", data=login).status_code == 303
    assert sessions(app) == 1
    stranger.set_cookie(cookie.key, cookie.value)
    assert stranger.get("/w/acme/jobs").status_code == 303
    assert client.get("/w/acme/jobs").status_code == 200


def test_a_failed_attempt_leaves_the_session_that_was_there(app: Flask, client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ben@example.com")
    form_token = csrf_token(client.get("/w/acme/jobs").text)
    login = {"email": "ben@example.com", "password": "no", "csrf_token": form_token}
    assert client.post("/login", data=login).status_code == 422
    assert client.get("/w/acme/jobs").status_code == 200


def test_a_poll_is_no_sign_of_a_person_and_a_page_is(app: Flask, client: FlaskClient, cast: Cast, clock: Clock) -> None:
    sign_in(client, "ben@example.com")
    client.get("/w/acme/jobs")
    begun = last_seen(app)
    at = clock.advance(hours=1)
    assert client.get("/w/acme/jobs/table", headers=HTMX).status_code == 200
    assert last_seen(app) == begun
    assert client.get("/w/acme/jobs").status_code == 200
    assert last_seen(app) == at


@pytest.mark.parametrize(("hops", "believed"), [("0", "127.0.0.1"), ("1", "203.0.113.5")])
def test_as_many_proxies_are_believed_as_are_trusted(hops: str, believed: str, configured: MakeApp, cast: Cast) -> None:
    app = configured(TRUSTED_PROXIES=hops)
    client = app.test_client()
    client.environ_base["HTTP_X_FORWARDED_FOR"] = "198.51.100.9, 203.0.113.5"
    sign_in(client, "ben@example.com")
    with app.app_context():
        assert db.session.scalar(sa.select(AuditEntry.address).where(AuditEntry.action == "user.signed_in")) == believed


@pytest.mark.parametrize(("public_url", "secure"), [("https://jobs.example.com", True), ("http://10.0.0.5", False)])
def test_the_cookie_is_kept_from_scripts_other_sites_and_behind_https_from_the_open(
    public_url: str, secure: bool, configured: MakeApp
) -> None:
    answer = configured(PUBLIC_URL=public_url).test_client().get("/login")
    flags = {flag.strip() for flag in answer.headers["Set-Cookie"].split(";")[1:]}
    assert {"HttpOnly", "SameSite=Lax"} <= flags
    assert ("Secure" in flags) is secure


@pytest.mark.parametrize("sent", ["dieter@bücher.example", "dieter@xn--bcher-kva.example", "DIETER@BÜCHER.EXAMPLE"])
def test_people_at_a_domain_beyond_ascii_sign_in_however_their_browser_writes_it(
    app: Flask, client: FlaskClient, cast: Cast, sent: str
) -> None:
    with app.app_context():
        accounts.create("dieter@bücher.example", "Dieter", PASSWORD, by=SYSTEM)
    sign_in(client, sent)
    assert "dieter@bücher.example" in client.get("/profile").text


def test_no_field_for_an_address_is_one_that_refuses_letters_beyond_ascii(client: FlaskClient, cast: Cast) -> None:
    pages = [client.get("/login").text]
    sign_in(client, "ada@example.com")
    pages.append(client.get("/w/acme/settings/members").text)
    for page in pages:
        (field,) = re.findall(r'<input[^>]*name="email"[^>]*>', page)
        assert 'inputmode="email"' in field
        assert 'type="email"' not in field


# --- known browsers ----------------------------------------------------------------------------------------------


def lock_out_strangers(app: Flask, email: str) -> None:
    """Put down as many wrong passwords as close an account to strangers."""
    at = clock.now()
    row = {"email": email, "address": "192.0.2.1", "network": "192.0.2.1", "at": at}
    with app.app_context(), write_transaction() as session:
        rows = [{"id": new_id(at)} | row for _ in range(attempts.PER_ACCOUNT)]
        session.execute(sa.insert(LoginFailure), rows)


def browser_marks(client: FlaskClient) -> list[Cookie]:
    cookies = client._cookies or {}
    return [cookie for cookie in cookies.values() if "-browser-" in cookie.key]


def try_to_sign_in(client: FlaskClient, email: str = "ben@example.com", password: str = PASSWORD) -> TestResponse:
    data = {"email": email, "password": password, "csrf_token": csrf_token(client.get("/login").text)}
    return client.post("/login", data=data)


def test_strangers_lock_nobody_out_of_a_browser_that_they_used_before(
    app: Flask, client: FlaskClient, cast: Cast
) -> None:
    sign_in(client, "ben@example.com")
    client.post("/logout", data={"csrf_token": csrf_token(client.get("/w/acme/jobs").text)})
    lock_out_strangers(app, "ben@example.com")
    refusal = try_to_sign_in(app.test_client())
    assert (refusal.status_code, "Too many attempts." in refusal.text) == (429, True)
    assert int(refusal.headers["Retry-After"]) > 60
    assert try_to_sign_in(client).status_code == 303


def test_a_browser_is_known_too_that_a_server_has_marked_whose_clock_is_ahead(
    app: Flask, client: FlaskClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr(TimestampSigner, "get_timestamp", lambda signer: int(time.time()) + 600)
        sign_in(client, "ben@example.com")
    client.post("/logout", data={"csrf_token": csrf_token(client.get("/w/acme/jobs").text)})
    lock_out_strangers(app, "ben@example.com")
    assert try_to_sign_in(client).status_code == 303


def test_two_people_may_share_a_browser_and_it_is_known_to_both(app: Flask, client: FlaskClient, cast: Cast) -> None:
    for email in ("ben@example.com", "ada@example.com"):
        sign_in(client, email)
        client.post("/logout", data={"csrf_token": csrf_token(client.get("/w/acme/jobs").text)})
        lock_out_strangers(app, email)
    assert try_to_sign_in(client, "ada@example.com").status_code == 303
    client.post("/logout", data={"csrf_token": csrf_token(client.get("/w/acme/jobs").text)})
    assert try_to_sign_in(client, "ben@example.com").status_code == 303


@pytest.mark.parametrize("change", ["forged", "another account's", "too old"])
def test_a_mark_that_is_not_good_leaves_a_browser_a_stranger(
    change: str, app: Flask, client: FlaskClient, cast: Cast, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client, "ada@example.com" if change == "another account's" else "ben@example.com")
    [mark] = browser_marks(client)
    value = mark.value[:-10] + "A" * 10 if change == "forged" else mark.value
    if change == "too old":
        monkeypatch.setattr(known_browsers, "LIFETIME", timedelta.min)
    lock_out_strangers(app, "ben@example.com")
    stranger = app.test_client()
    name = mark.key.removesuffix(mark.key.rpartition("-")[2]) + cast.ben.id.hex[-12:]
    stranger.set_cookie(name, value, path="/login")
    assert try_to_sign_in(stranger).status_code == 429


@pytest.mark.parametrize(("public_url", "secure"), [("https://jobs.example.com", True), ("http://10.0.0.5", False)])
def test_the_mark_of_a_browser_goes_to_the_sign_in_form_alone_and_tells_nothing(
    public_url: str, secure: bool, configured: MakeApp, cast: Cast
) -> None:
    client = configured(PUBLIC_URL=public_url).test_client()
    answer = try_to_sign_in(client)
    [cookie] = [cookie for cookie in answer.headers.getlist("Set-Cookie") if "-browser-" in cookie]
    flags = {flag.strip() for flag in cookie.split(";")[1:]}
    assert {"HttpOnly", "SameSite=Lax", "Path=/login", "Max-Age=31536000"} <= flags
    assert ("Secure" in flags) is secure
    assert "ben" not in cookie


# --- what people and other programs learn of it ------------------------------------------------------------------


def test_a_mail_tells_of_a_sign_in_with_a_new_browser_and_of_no_other(app: Flask, cast: Cast, box: Mailbox) -> None:
    first, second = app.test_client(), app.test_client()
    second.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
    sign_in(first, "ben@example.com")
    sign_in(second, "ben@example.com")
    wait_until(lambda: box.taken)
    assert (box.recipients, box.mail["Subject"]) == (["ben@example.com"], "New sign-in to Callboard")
    text = box.mail.get_content()
    assert "Firefox on Linux, from 127.0.0.1" in text
    assert "http://127.0.0.1:8000/profile" in text
    second.post("/logout", data={"csrf_token": csrf_token(second.get("/w/acme/jobs").text)})
    sign_in(second, "ben@example.com")
    sign_in(app.test_client(), "cleo@example.com")
    sign_in(app.test_client(), "cleo@example.com")
    wait_until(lambda: len(box.taken) > 1)
    assert box.recipients == ["ben@example.com", "cleo@example.com"]


def test_a_mail_server_that_hangs_holds_up_no_sign_in(app: Flask, cast: Cast, box: Mailbox) -> None:
    box.silent_at = "connect"
    sign_in(app.test_client(), "ben@example.com")
    began = time.monotonic()
    sign_in(app.test_client(), "ben@example.com")
    assert time.monotonic() - began < STEP_TIMEOUT


def test_a_person_sees_who_signed_in_or_tried_to_in_the_profile(
    app: Flask, client: FlaskClient, cast: Cast, clock: Clock
) -> None:
    stranger = app.test_client()
    stranger.environ_base |= {"HTTP_USER_AGENT": "curl/8 <b>", "REMOTE_ADDR": "203.0.113.9"}
    for _ in range(10):
        assert try_to_sign_in(stranger, password="wrong horse battery").status_code == 422
    clock.advance(minutes=1)
    assert try_to_sign_in(stranger, password="wrong horse battery").status_code == 429
    clock.advance(minutes=1)
    sign_in(client, "ben@example.com")
    [listed] = re.findall(r'<ul class="hooks sign-ins">.*?</ul>', client.get("/profile").text, re.DOTALL)
    rows = re.findall(r"<li>.*?</li>", listed, re.DOTALL)
    outcomes = [words for row in rows for words in re.findall(r'class="status[^>]*>([^<]+)<', row)]
    assert outcomes == ["signed in", "blocked, too many attempts", *["wrong password"] * 10]
    assert all("from 203.0.113.9" in row and "<b>curl</b>" in row for row in rows[1:])


def test_the_filter_for_fail2ban_in_the_docs_finds_who_guesses(
    client: FlaskClient, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    client.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    for _ in range(11):
        try_to_sign_in(client, 'x", "event": "sign_in.failed", "remote_addr": "192.0.2.7', "wrong horse battery")
    sign_in(client.application.test_client(), "ben@example.com")
    caplog.handler.setFormatter(JsonFormatter())
    lines = [caplog.handler.format(record) for record in caplog.records]
    [failregex] = re.findall(r"^failregex = (.*)$", (ROOT / "docs/serving.md").read_text(), re.MULTILINE)
    # As fail2ban writes <HOST>: an address of either kind, or a name.
    pattern = re.compile(failregex.replace("<HOST>", r"(?:::f{4,6}:)?(?P<host>[\w\-.^_]*\w|[\da-fA-F:]+)"))
    matches = [pattern.search(line) for line in lines]
    assert [match and match["host"] for match in matches] == ["203.0.113.9"] * 11
    assert not pattern.search(json.dumps({"event": "account.blocked", "remote_addr": "203.0.113.9"}))
