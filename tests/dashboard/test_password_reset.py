"""A forgotten password: a link by mail, good once and for an hour, and a page that tells nobody who has an account."""

import re
import time
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.concurrency import at_once, refusals_at_once
from tests.support.mailbox import Mailbox
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from tests.support.waiting import wait_until
from webapp.core.accounts import accounts, resets
from webapp.core.accounts.attempts import Visitor
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.accounts.resets import NoReset
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.models import AuditEntry, PasswordReset, User
from webapp.core.workspaces import offboarding

NEW = "another horse battery"
HERE = Visitor("203.0.113.1", None)
PAGE = "/password-reset"


def ask(client: FlaskClient, email: str) -> TestResponse:
    return client.post(PAGE, data={"email": email, "csrf_token": csrf_token(client.get(PAGE).text)})


def link_for(client: FlaskClient, email: str, box: Mailbox) -> str:
    """Ask for a link, and return its path from the mail."""
    before = len(box.taken)
    assert ask(client, email).status_code == 200
    wait_until(lambda: len(box.taken) > before)
    link = re.search(r"http://127\.0\.0\.1:8000(/password-reset/[\w-]+)", box.taken[-1].get_content())
    assert link
    return link[1]


def set_password(client: FlaskClient, path: str, password: str = NEW) -> TestResponse:
    token = csrf_token(client.get(path).text)
    return client.post(path, data={"csrf_token": token, "password": password, "again": password})


def test_whoever_named_an_account_for_another_sends_no_link_of_theirs(
    app: Flask, client: FlaskClient, cast: Cast, box: Mailbox
) -> None:
    with app.app_context():
        db.session.execute(sa.update(User).values(name="Win at https://evil.example now"))
        db.session.commit()
    set_password(client, link_for(client, "ben@example.com", box))
    wait_until(lambda: len(box.taken) == 2)
    assert ["evil" in mail.get_content() for mail in box.taken] == [False, False]


def test_the_link_sets_a_password_and_ends_every_session(
    app: Flask, client: FlaskClient, cast: Cast, box: Mailbox
) -> None:
    elsewhere = app.test_client()
    sign_in(elsewhere, "ben@example.com")
    assert 'href="/password-reset"' in client.get("/login").text
    with app.app_context():
        db.session.execute(sa.update(User).values(email_verified_at=None))
        db.session.commit()
    path = link_for(client, "Ben@Example.com", box)
    assert box.recipients == ["ben@example.com"]
    page = client.get(path)
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "strict-origin"
    assert set_password(client, path).location == "/login"
    assert elsewhere.get("/profile").status_code == 303
    sign_in(client, "ben@example.com", NEW)
    wait_until(lambda: len(box.taken) == 2)
    assert box.taken[1]["Subject"] == "Your Callboard password was changed"
    with app.app_context():
        assert db.session.scalar(sa.select(AuditEntry.actor).where(AuditEntry.action == "user.password_reset"))
        assert db.session.scalars(sa.select(User.email).where(User.email_verified_at.is_not(None))).all() == [
            "ben@example.com"
        ]


def test_it_is_good_once_and_looking_at_it_does_not_use_it_up(client: FlaskClient, cast: Cast, box: Mailbox) -> None:
    path = link_for(client, "ben@example.com", box)
    for _ in range(2):
        assert client.get(path).status_code == 200
    refused = set_password(client, path, "password123")
    assert (refused.status_code, "one of the most common" in refused.text) == (422, True)
    assert set_password(client, path).status_code == 303
    assert (client.get(path).status_code, "no longer valid" in client.get(path).text) == (404, True)


def test_it_is_worth_nothing_after_an_hour_or_a_new_password(
    app: Flask, client: FlaskClient, cast: Cast, box: Mailbox, clock: Clock
) -> None:
    path = link_for(client, "ben@example.com", box)
    clock.advance(hours=1)
    assert client.get(path).status_code == 404
    path = link_for(client, "ben@example.com", box)
    with app.app_context():
        accounts.set_password(cast.ben, "a third horse battery", by=SYSTEM)
    assert client.get(path).status_code == 404
    path = link_for(client, "ben@example.com", box)
    with app.app_context():
        offboarding.deactivate(cast.ben, keep_all=False, by=SYSTEM)
    assert client.get(path).status_code == 404
    assert client.get(f"{PAGE}/nonsense").status_code == 404


def test_nobody_learns_who_has_an_account(app: Flask, client: FlaskClient, cast: Cast, box: Mailbox) -> None:
    with app.app_context():
        offboarding.deactivate(cast.cleo, keep_all=False, by=SYSTEM)
    emails = ("ben@example.com", "cleo@example.com", "nobody@example.com", "no address")
    answers = [ask(client, email) for email in emails]
    assert {answer.status_code for answer in answers} == {200}
    texts = {answer.text.replace(email, "") for answer, email in zip(answers, emails, strict=True)}
    assert len(texts) == 1
    wait_until(lambda: box.taken)
    assert box.recipients == ["ben@example.com"]


def test_a_mail_server_that_hangs_does_not_tell_it_either(client: FlaskClient, cast: Cast, box: Mailbox) -> None:
    box.silent_at = "connect"
    began = time.monotonic()
    assert ask(client, "ben@example.com").status_code == 200
    assert time.monotonic() - began < 2


def test_without_mail_the_page_says_whom_to_ask(client: FlaskClient, cast: Cast) -> None:
    assert "users set-password EMAIL" in client.get(PAGE).text
    token = csrf_token(client.get("/login").text)
    assert client.post(PAGE, data={"email": "ben@example.com", "csrf_token": token}).status_code == 422


def test_a_page_that_asks_too_often_is_told_when_to_come_again(client: FlaskClient, cast: Cast, box: Mailbox) -> None:
    for number in range(resets.PER_NETWORK):
        assert ask(client, f"nobody{number}@example.com").status_code == 200
    refusal = ask(client, "ben@example.com")
    assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "3600")


@pytest.mark.usefixtures("core")
class TestLimits:
    def test_one_address_gets_three_mails_an_hour_however_many_ask_at_once(self, core: Flask, cast: Cast) -> None:
        made = at_once(
            core, *(partial(resets.request_reset, "ben@example.com", Visitor(f"192.0.2.{n}", None)) for n in range(8))
        )
        assert sum(reset is not None for reset in made) == resets.PER_ACCOUNT

    def test_one_network_asks_twenty_times_an_hour_however_many_at_once(
        self, core: Flask, cast: Cast, clock: Clock
    ) -> None:
        for number in range(resets.PER_NETWORK - 4):
            resets.request_reset(f"nobody{number}@example.com", HERE)
        refusals = refusals_at_once(
            core, *(partial(resets.request_reset, f"more{n}@example.com", HERE) for n in range(10))
        )
        assert sum(isinstance(refusal, TooManyAttempts) for refusal in refusals) == 6
        clock.advance(hours=1)
        assert resets.request_reset("ben@example.com", HERE)

    def test_of_two_who_use_a_link_at_once_one_finds_it_used(self, core: Flask, cast: Cast) -> None:
        new = resets.request_reset("ben@example.com", HERE)
        assert new
        uses = [partial(resets.reset_password, new.secret, f"{NEW} {n}", address=None) for n in range(4)]
        refusals = refusals_at_once(core, *uses)
        assert refusals.count(None) == 1
        assert sum(isinstance(refusal, NoReset) for refusal in refusals) == 3

    def test_the_secret_of_a_link_is_not_in_the_database_and_old_links_are_swept(
        self, cast: Cast, clock: Clock
    ) -> None:
        new = resets.request_reset("ben@example.com", HERE)
        assert new
        [row] = db.session.execute(sa.select(PasswordReset.__table__)).all()
        assert new.secret not in map(str, row)
        clock.advance(days=1, seconds=1)
        resets.request_reset("ben@example.com", HERE)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(PasswordReset)) == 1


def test_the_old_password_opens_nothing_after_a_reset(app: Flask, client: FlaskClient, cast: Cast) -> None:
    with app.app_context():
        new = resets.request_reset("ben@example.com", HERE)
        assert new
        resets.reset_password(new.secret, NEW, address=None)
    data = {"email": "ben@example.com", "password": PASSWORD, "csrf_token": csrf_token(client.get("/login").text)}
    assert client.post("/login", data=data).status_code == 422
