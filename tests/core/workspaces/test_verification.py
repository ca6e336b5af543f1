"""Whose an address is: shown by a link that only the reader of its mail has, or by the administrator's word."""

import uuid
from collections.abc import Mapping
from datetime import datetime

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.concurrency import refusals_at_once
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.core import mail_limits
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Forbidden
from webapp.core.mail import shorten_name
from webapp.core.mail_limits import MailLimitReached
from webapp.core.models import MailCount, Membership, User
from webapp.core.workspaces import invitations, workspaces
from webapp.core.workspaces.invitations import NewAccountPolicy

DORA = "dora@example.com"


def ada_of_acme(cast: Cast) -> Membership:
    return workspaces.get_membership("acme", cast.ada.id)


def invite(cast: Cast, email: str = DORA, *, by_mail: bool) -> str:
    _, secret = invitations.create(ada_of_acme(cast), email, "member", by_mail=by_mail, by=Actor(cast.ada.ref))
    return secret


def verified_at(email: str) -> datetime | None:
    return db.session.scalar(sa.select(User.email_verified_at).where(User.email == email))


@pytest.mark.usefixtures("core")
class TestAnAddress:
    @pytest.mark.parametrize("by_mail", [True, False])
    def test_is_verified_by_a_link_that_went_by_mail_and_not_by_one_that_was_shown(
        self, cast: Cast, by_mail: bool
    ) -> None:
        invitations.accept_as_new(invite(cast, by_mail=by_mail), "Dora", PASSWORD, address=None)
        assert (verified_at(DORA) is not None) is by_mail

    def test_is_not_verified_by_a_link_that_was_shown_because_its_mail_failed(self, cast: Cast) -> None:
        invitation, secret = invitations.create(ada_of_acme(cast), DORA, "member", by_mail=True, by=Actor(cast.ada.ref))
        invitations.mark_shown(invitation)
        invitations.accept_as_new(secret, "Dora", PASSWORD, address=None)
        assert verified_at(DORA) is None

    def test_of_an_account_that_was_there_is_verified_by_the_next_mailed_link(self, cast: Cast) -> None:
        dora = invitations.accept_as_new(invite(cast, by_mail=False), "Dora", PASSWORD, address=None)
        other = workspaces.get_membership("other", cast.cleo.id)
        _, secret = invitations.create(other, DORA, "member", by_mail=True, by=Actor(cast.cleo.ref))
        invitations.accept(secret, dora, by=Actor(dora.ref))
        assert verified_at(DORA) is not None

    def test_is_verified_by_the_administrators_word(self, cast: Cast) -> None:
        assert verified_at("ada@example.com") is not None
        dora = invitations.accept_as_new(invite(cast, by_mail=False), "Dora", PASSWORD, address=None)
        with pytest.raises(Conflict, match="is not verified"):
            accounts.require_verified(dora)
        accounts.verify(dora, by=SYSTEM)
        accounts.require_verified(accounts.get_by_email(DORA))

    @pytest.mark.parametrize(
        ("policy", "may"),
        [
            (NewAccountPolicy(), True),
            (NewAccountPolicy(frozenset()), False),
            (NewAccountPolicy(frozenset({"example.com"})), True),
            (NewAccountPolicy(frozenset({"example.org", "ample.com"})), False),
        ],
    )
    def test_gets_an_account_by_a_link_only_as_the_board_allows(
        self, cast: Cast, policy: NewAccountPolicy, may: bool
    ) -> None:
        secret = invite(cast, by_mail=False)
        if may:
            assert invitations.accept_as_new(secret, "Dora", PASSWORD, policy=policy, address=None)
        else:
            with pytest.raises(Forbidden):
                invitations.accept_as_new(secret, "Dora", PASSWORD, policy=policy, address=None)
        assert accounts.has_account(DORA) is may


# --- how much mail -----------------------------------------------------------------------------------------------


def claim(person: str = "user:ada", workspace: str = "acme", recipient: str = DORA) -> None:
    with write_transaction() as session:
        mail_limits.claim(session, person=person, workspace=workspace, recipient=recipient)


def taken(kind: str) -> int:
    return db.session.scalar(sa.select(sa.func.sum(MailCount.count)).where(MailCount.kind == kind)) or 0


@pytest.mark.parametrize("kind", ["person", "workspace", "recipient"])
def test_mail_is_limited_by_person_by_workspace_and_by_recipient_each_day(
    core: Flask, clock: Clock, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(mail_limits, "LIMITS", {"person": 99, "workspace": 99, "recipient": 99, kind: 3})

    def claim_another() -> None:
        others = {name: uuid.uuid4().hex for name in ("person", "workspace", "recipient") if name != kind}
        claim(**others)

    for _ in range(3):
        claim_another()
    with pytest.raises(MailLimitReached, match="try again tomorrow"):
        claim_another()
    assert (taken("person"), taken("workspace"), taken("recipient")) == (3, 3, 3)
    clock.advance(days=1)
    claim_another()
    assert taken("person") == 1


def test_of_many_mails_at_once_exactly_as_many_go_out_as_the_limit_says(app: Flask) -> None:
    came = refusals_at_once(app, *[lambda number=number: claim(person=str(number)) for number in range(12)])
    assert len([each for each in came if each is None]) == mail_limits.LIMITS["recipient"]
    with app.app_context():
        assert (taken("person"), taken("recipient")) == (5, 5)


@pytest.mark.usefixtures("core")
def test_an_invitation_beyond_the_limit_is_not_made_but_may_be_handed_over(cast: Cast) -> None:
    for _ in range(mail_limits.LIMITS["recipient"]):
        secret = invite(cast, by_mail=True)
    with pytest.raises(MailLimitReached):
        invite(cast, by_mail=True)
    assert invitations.get_by_secret(secret)
    assert invite(cast, by_mail=False)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Dr. Ada J. R. Lovelace", "Dr. Ada J. R. Lovelace"),
        ("Ärzte 工場", "Ärzte 工場"),
        ("Win now at https://evil.example/x quick", "Win now at quick"),
        ("evil.example", "somebody"),
        ("evil．example", "somebody"),
        ("evil。example", "somebody"),
        ("mail eve@example today", "mail today"),
        ("www.x", "somebody"),
        ("a\u202eb\u200bc\nd", "abc d"),
        ("x" * 200, "x" * 39 + "…"),
    ],
)
def test_a_name_in_a_mail_is_short_in_one_line_and_no_link(name: str, sent: str) -> None:
    assert shorten_name(name, default="somebody") == sent


# --- on the pages ------------------------------------------------------------------------------------------------


class TestOnThePages:
    @pytest.fixture
    def settings(self) -> Mapping[str, str]:
        return {"INVITE_NEW_ACCOUNTS": "example.org"}

    def test_an_address_of_another_domain_gets_no_form_whether_it_has_an_account_or_not(
        self, app: Flask, cast: Cast
    ) -> None:
        answers = []
        for email in (DORA, "cleo@example.com"):
            with app.app_context():
                path = f"/invitations/{invite(cast, email, by_mail=False)}"
            stranger = app.test_client()
            page = stranger.get(path).text
            assert "Otherwise ask the administrator of this board for one." in page
            assert "password" not in page
            form = {"csrf_token": csrf_token(stranger.get("/login").text), "name": "D", "password": PASSWORD}
            answer = stranger.post(path, data=form | {"again": PASSWORD})
            answers.append((answer.status_code, (answer.location or "").replace(path, "")))
        assert answers == [(303, "/login?next=")] * 2

    def test_an_address_that_nobody_has_verified_is_marked(self, app: Flask, cast: Cast) -> None:
        with app.app_context():
            secret = invite(cast, "dora@example.org", by_mail=False)
            dora = invitations.accept_as_new(secret, "Dora", PASSWORD, address=None)
        client = app.test_client()
        sign_in(client, "ada@example.com")
        page = client.get("/w/acme/settings/members").text
        assert page.count("unverified") == 1
        assert "unverified" in client.get(f"/w/acme/settings/members/{dora.id}/transfer").text
