"""One's own address: verified by a link that goes there by mail and counts in a browser that is signed in to it."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.mailbox import Mailbox
from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from webapp.core import mail_limits
from webapp.core.accounts import accounts, verification
from webapp.core.accounts.verification import NoVerification
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.models import AuditEntry, User

BUTTON = "Email me a verification link"


@pytest.fixture(autouse=True)
def _nobody_is_verified(app: Flask, cast: Cast) -> None:
    with app.app_context():
        db.session.execute(sa.update(User).values(email_verified_at=None))
        db.session.commit()


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ben is signed in."""
    sign_in(client, "ben@example.com")
    return client


def press(client: FlaskClient, address: str) -> TestResponse:
    token = csrf_token(client.get("/profile").text)
    return client.post(address, data={"csrf_token": token}, follow_redirects=True)


def request_link(client: FlaskClient) -> TestResponse:
    return press(client, "/profile/verification")


def path_in(box: Mailbox) -> str:
    """The path of the link in the newest mail."""
    link = re.search(r"http://127\.0\.0\.1:8000(/profile/verification/\S+)", box.taken[-1].get_content())
    assert link
    return link[1]


def is_verified(app: Flask, email: str = "ben@example.com") -> bool:
    with app.app_context():
        return accounts.get_by_email(email).email_verified_at is not None


def test_a_link_by_mail_verifies_the_address_once_its_button_is_pressed(
    app: Flask, ben: FlaskClient, box: Mailbox
) -> None:
    assert BUTTON in ben.get("/profile").text
    assert "We sent a link to ben@example.com." in request_link(ben).text
    assert box.recipients == ["ben@example.com"]
    page = ben.get(path_in(box))
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "strict-origin"
    assert not is_verified(app)
    assert "Your address is verified." in press(ben, path_in(box)).text
    assert is_verified(app)
    profile = ben.get("/profile").text
    assert BUTTON not in profile
    assert "unverified" not in profile
    with app.app_context():
        [entry] = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "user.email_verified"))
        assert entry.actor == accounts.get_by_email("ben@example.com").ref
    # Again changes nothing, and no mail goes out.
    assert "Your address is verified." in request_link(ben).text
    assert len(box.taken) == 1


def test_a_link_is_nothing_to_whoever_is_not_signed_in_to_that_account(
    app: Flask, ben: FlaskClient, box: Mailbox
) -> None:
    request_link(ben)
    reader = app.test_client()
    assert reader.get(path_in(box)).location.startswith("/login?next=/profile/verification/")
    sign_in(reader, "cleo@example.com")
    refused = reader.get(path_in(box))
    assert refused.status_code == 404
    assert "You are signed in as" in refused.text
    assert press(reader, path_in(box)).status_code == 404
    assert not is_verified(app)
    assert not is_verified(app, "cleo@example.com")


def test_a_link_ends_after_a_day(core: Flask, cast: Cast, clock: Clock) -> None:
    secret = verification.request_link(cast.ben, "key", by=SYSTEM)
    clock.advance(hours=23, minutes=59)
    verification.require_link(cast.ben, secret, "key")
    clock.advance(minutes=1)
    with pytest.raises(NoVerification):
        verification.verify_by_link(cast.ben, secret, "key", by=SYSTEM)


def test_a_link_that_was_changed_or_signed_by_another_key_is_refused(core: Flask, cast: Cast) -> None:
    secret = verification.request_link(cast.ben, "key", by=SYSTEM)
    for changed, key in ((secret, "other"), (secret[:-2], "key"), ("x" + secret, "key"), ("", "key")):
        with pytest.raises(NoVerification):
            verification.require_link(cast.ben, changed, key)


def test_links_count_among_the_mails_of_a_day(core: Flask, cast: Cast, clock: Clock) -> None:
    by = Actor(cast.ben.ref)
    for _ in range(mail_limits.LIMITS["recipient"]):
        verification.request_link(cast.ben, "key", by=by)
    with pytest.raises(mail_limits.MailLimitReached, match=r"ben@example\.com has been sent 5 mails today"):
        verification.request_link(cast.ben, "key", by=by)
    clock.advance(days=1)
    assert verification.request_link(cast.ben, "key", by=by)


def test_what_stops_the_mail_is_said_on_the_profile(ben: FlaskClient, box: Mailbox) -> None:
    box.answers["RCPT"] = b"550 5.1.1 no such mailbox"
    assert "the mail server refuses this address. Try again later." in request_link(ben).text
    del box.answers["RCPT"]
    for _ in range(mail_limits.LIMITS["recipient"] - 1):
        assert "We sent a link" in request_link(ben).text
    assert "has been sent 5 mails today; try again tomorrow." in request_link(ben).text


def test_a_board_without_mail_names_who_can_verify(app: Flask, ben: FlaskClient) -> None:
    profile = ben.get("/profile").text
    assert BUTTON not in profile
    assert "Ask the administrator of this board to verify it." in profile
    assert "Ask its administrator to verify your address." in request_link(ben).text


def test_a_mail_greets_by_a_name_without_links(app: Flask, ben: FlaskClient, box: Mailbox) -> None:
    with app.app_context():
        db.session.execute(sa.update(User).values(name="Win at https://evil.example now"))
        db.session.commit()
    request_link(ben)
    assert "Hello Win at now," in box.taken[-1].get_content()
    assert "evil" not in box.taken[-1].get_content()
