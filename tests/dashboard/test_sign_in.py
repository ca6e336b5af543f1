"""The cookie, the session behind it, and whom the board believes about where a person comes from."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Protocol

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.support.apps import dispose, make_app
from tests.support.clock import Clock
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.models import AuditEntry, BrowserSession

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
