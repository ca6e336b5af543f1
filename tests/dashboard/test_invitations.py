"""Invitations: for one address, once, for seven days; and what stands behind the link."""

import re
import threading
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.concurrency import refusals_at_once
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.core.accounts import accounts, passwords
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.errors import Conflict
from webapp.core.models import AuditEntry, Invitation, Role, User
from webapp.core.workspaces import invitations, members, workspaces

PAGE = "/w/acme/settings/members"
DORA = "dora@example.com"
ACCOUNT = {"name": "Dora", "password": PASSWORD, "again": PASSWORD}
GONE = "This invitation is no longer valid"


@pytest.fixture
def ada(app: Flask, cast: Cast) -> FlaskClient:
    """A browser in which Ada, who owns acme, is signed in."""
    client = app.test_client()
    sign_in(client, "ada@example.com")
    return client


def post(
    client: FlaskClient, address: str, data: Mapping[str, object] | None = None, form: str = "/?all"
) -> TestResponse:
    token = csrf_token(client.get(form).text)
    return client.post(address, data={"csrf_token": token} | dict(data or {}))


def invited(client: FlaskClient, email: str = DORA, role: str = "member") -> str:
    """The path of a new invitation's link."""
    answer = post(client, f"{PAGE}/invitations", {"email": email, "role": role})
    assert answer.headers["Cache-Control"] == "no-store"
    link = re.search(r">http://127\.0\.0\.1:8000(/invitations/[\w-]+)</pre>", answer.text)
    assert link, answer.text
    return link[1]


def roles(app: Flask, cast: Cast) -> dict[str, str]:
    with app.app_context():
        return {member.user.name: member.role.value for member in members.list_members(cast.acme.id)}


def entries(app: Flask, action: str) -> list[AuditEntry]:
    with app.app_context():
        return list(db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == action)))


# --- made --------------------------------------------------------------------------------------------------------


def test_a_link_is_shown_once_and_its_secret_is_not_in_the_database(app: Flask, ada: FlaskClient) -> None:
    path = invited(ada)
    secret = path.rpartition("/")[2]
    page = ada.get(PAGE).text
    assert DORA in page
    assert secret not in page
    with app.app_context():
        row = db.session.execute(sa.select(Invitation.__table__)).one()
    assert secret not in repr(row)
    [entry] = entries(app, "member.invited")
    assert entry.detail == {"email": DORA, "role": "member"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"email": "dora"}, "An email address like ana@example.com."),
        ({"email": "Ben@example.com"}, "ben@example.com is in Acme already."),
        ({"role": "owner"}, "Choose admin or member."),
        ({"role": "king"}, "Choose admin or member."),
    ],
)
def test_whom_one_cannot_invite_is_told_beside_the_field(
    app: Flask, ada: FlaskClient, wrong: Mapping[str, str], said: str
) -> None:
    answer = post(ada, f"{PAGE}/invitations", {"email": DORA, "role": "member"} | dict(wrong))
    assert (answer.status_code, said in answer.text) == (422, True)
    assert entries(app, "member.invited") == []


def test_a_member_sees_no_invitation_and_makes_and_revokes_none(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    path = invited(ada)
    with app.app_context():
        [known] = invitations.list_open(cast.acme.id)
    ben = app.test_client()
    sign_in(ben, "ben@example.com")
    page = ben.get(PAGE).text
    assert DORA not in page
    assert "Invite a member" not in page
    assert post(ben, f"{PAGE}/invitations", {"email": "x@example.com", "role": "member"}).status_code == 403
    assert post(ben, f"{PAGE}/invitations/{known.id}/revoke").status_code == 403
    assert app.test_client().get(path).status_code == 200


def test_a_second_invitation_of_an_address_takes_the_place_of_the_first(app: Flask, ada: FlaskClient) -> None:
    first, second = invited(ada), invited(ada, role="admin")
    assert app.test_client().get(first).status_code == 404
    assert "as admin" in app.test_client().get(second).text
    assert ada.get(PAGE).text.count('id="invitation-') == 1


# --- accepted ----------------------------------------------------------------------------------------------------


def test_who_has_no_account_gets_one_under_the_invited_address_and_is_in(
    app: Flask, ada: FlaskClient, cast: Cast, client: FlaskClient
) -> None:
    path = invited(ada, role="admin")
    page = client.get(path)
    assert page.status_code == 200
    assert "Ada invites <b>dora@example.com</b> to the workspace Acme, as admin." in page.text
    assert (page.headers["Cache-Control"], page.headers["Referrer-Policy"]) == ("no-store", "strict-origin")
    answer = post(client, path, ACCOUNT, form=path)
    assert (answer.status_code, answer.location) == (303, "/w/acme/jobs")
    assert "Welcome to Acme." in client.get("/w/acme/jobs").text
    assert roles(app, cast) == {"Ada": "owner", "Ben": "member", "Dora": "admin"}
    again = app.test_client()
    sign_in(again, DORA)
    assert again.get("/w/acme/jobs").status_code == 200
    [joined] = entries(app, "member.joined")
    assert joined.detail == {"role": "admin", "invited_by": cast.ada.ref}
    assert joined.resource == joined.actor


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "A name of 1 to 200 characters, in one line."),
        ({"name": "a\0"}, "A name of 1 to 200 characters, in one line."),
        ({"password": "short", "again": "short"}, "A password of 10 to 1000 characters."),
        ({"again": "another horse battery"}, "The two passwords are not the same."),
    ],
)
def test_an_account_that_cannot_be_made_leaves_the_link_good(
    app: Flask, ada: FlaskClient, client: FlaskClient, wrong: Mapping[str, str], said: str
) -> None:
    path = invited(ada)
    answer = post(client, path, {**ACCOUNT, **wrong}, form=path)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert PASSWORD not in answer.text
    assert post(client, path, ACCOUNT, form=path).status_code == 303


def test_while_many_passwords_are_hashed_a_new_account_is_asked_to_try_again(
    ada: FlaskClient, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = invited(ada)
    with monkeypatch.context() as busy:
        busy.setattr(passwords, "_places", threading.Semaphore(0))
        answer = post(client, path, ACCOUNT, form=path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert "Try again in a few seconds." in answer.text
    assert 'value="Dora"' in answer.text
    assert post(client, path, ACCOUNT, form=path).status_code == 303


def test_the_link_does_not_tell_whether_its_address_has_an_account(app: Flask, ada: FlaskClient) -> None:
    pages = []
    for email in (DORA, "cleo@example.com"):
        path = invited(ada, email)
        page = app.test_client().get(path).text.replace(path, "").replace(email, "")
        pages.append(re.sub(r'(name="csrf_token"[^>]*value=)"[^"]*"', r"\1", page))
    assert pages[0] == pages[1]


def test_who_has_an_account_signs_in_and_joins(app: Flask, ada: FlaskClient, cast: Cast, client: FlaskClient) -> None:
    path = invited(ada, "cleo@example.com")
    assert f'href="/login?next={path}"' in client.get(path).text
    assert post(client, path, ACCOUNT, form="/login").location == f"/login?next={path}"
    sign_in(client, "cleo@example.com")
    assert ">Join Acme</button>" in client.get(path).text
    assert post(client, path).location == "/w/acme/jobs"
    assert roles(app, cast)["Cleo"] == "member"


def test_who_is_signed_in_under_another_address_is_refused_in_clear_words(
    app: Flask, ada: FlaskClient, cast: Cast, client: FlaskClient
) -> None:
    path = invited(ada)
    sign_in(client, "cleo@example.com")
    page = client.get(path).text
    assert "You are signed in as cleo@example.com. This invitation is for dora@example.com" in page
    assert "Join Acme</button>" not in page
    answer = post(client, path)
    assert answer.status_code == 403
    assert "This invitation is for dora@example.com, and you are signed in as cleo@example.com." in answer.text
    assert "Cleo" not in roles(app, cast)


# --- no good any more --------------------------------------------------------------------------------------------


def assert_gone(app: Flask, path: str) -> None:
    stranger = app.test_client()
    for answer in (stranger.get(path), post(stranger, path, ACCOUNT, form="/login")):
        assert (answer.status_code, GONE in answer.text) == (404, True)
        assert "Acme" not in answer.text


def test_a_used_link_lets_nobody_else_in(app: Flask, ada: FlaskClient, client: FlaskClient) -> None:
    path = invited(ada)
    post(client, path, ACCOUNT, form=path)
    assert_gone(app, path)


def test_a_link_is_good_for_seven_days(app: Flask, clock: Clock, ada: FlaskClient) -> None:
    path = invited(ada)
    clock.advance(days=7, seconds=-1)
    assert app.test_client().get(path).status_code == 200
    clock.advance(seconds=1)
    assert_gone(app, path)
    assert DORA not in ada.get(PAGE).text


def test_a_revoked_link_lets_nobody_in(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    path = invited(ada)
    with app.app_context():
        [known] = invitations.list_open(cast.acme.id)
    for _ in range(2):
        assert post(ada, f"{PAGE}/invitations/{known.id}/revoke").location == PAGE
    assert "The invitation for dora@example.com is revoked." in ada.get(PAGE).text
    assert_gone(app, path)
    assert len(entries(app, "invitation.revoked")) == 1


def test_an_accepted_invitation_is_not_revoked(app: Flask, ada: FlaskClient, cast: Cast, client: FlaskClient) -> None:
    path = invited(ada)
    with app.app_context():
        [known] = invitations.list_open(cast.acme.id)
    post(client, path, ACCOUNT, form=path)
    answer = post(ada, f"{PAGE}/invitations/{known.id}/revoke")
    assert (answer.status_code, "has accepted already" in answer.text) == (409, True)


def test_an_invitation_of_another_workspace_is_not_found(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    path = invited(ada)
    with app.app_context():
        [known] = invitations.list_open(cast.acme.id)
    cleo = app.test_client()
    sign_in(cleo, "cleo@example.com")
    answer = post(cleo, f"/w/other/settings/members/invitations/{known.id}/revoke")
    assert answer.status_code == 404
    assert app.test_client().get(path).status_code == 200


@pytest.mark.parametrize("secret", ["x", "%00", "%F0%9F%90%99", "a" * 500])
def test_a_link_that_never_was_looks_like_one_that_is_used(app: Flask, cast: Cast, secret: str) -> None:
    assert_gone(app, f"/invitations/{secret}")


@pytest.mark.parametrize("how", ["remove", "demote", "leave"])
def test_who_may_invite_no_longer_has_no_link_left_to_come_back_by(app: Flask, cast: Cast, how: str) -> None:
    with app.app_context():
        members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
        owner, admin = (workspaces.get_membership("acme", user.id) for user in (cast.ada, cast.cleo))
        _, secret = invitations.create(admin, DORA, "admin", by=Actor(cast.cleo.ref))
        assert invitations.get_by_secret(secret)
        if how == "remove":
            members.remove(owner, cast.cleo.id, by=SYSTEM)
        elif how == "demote":
            members.change_role(owner, cast.cleo.id, Role.MEMBER, by=SYSTEM)
        else:
            members.leave(admin, by=SYSTEM)
        with pytest.raises(invitations.NoInvitation):
            invitations.get_by_secret(secret)


def test_of_two_who_accept_at_once_one_gets_in(app: Flask, ada: FlaskClient, cast: Cast) -> None:
    secret = invited(ada).rpartition("/")[2]
    came = refusals_at_once(
        app,
        lambda: invitations.accept_as_new(secret, "Dora", PASSWORD, address=None),
        lambda: invitations.accept_as_new(secret, "Dora too", PASSWORD, address=None),
    )
    [refusal] = [each for each in came if each is not None]
    assert isinstance(refusal, invitations.NoInvitation | Conflict)
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).where(User.email == DORA)) == 1
    assert len([name for name in roles(app, cast) if name.startswith("Dora")]) == 1


def test_a_link_that_is_revoked_while_the_password_is_hashed_lets_nobody_in(
    app: Flask, ada: FlaskClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = invited(ada).rpartition("/")[2]
    prepare = accounts.prepare

    def prepare_meanwhile(email: str, name: str, password: str) -> User:
        with app.app_context():
            [known] = invitations.list_open(cast.acme.id)
            invitations.revoke(workspaces.get_membership("acme", cast.ada.id), known.id, by=SYSTEM)
        return prepare(email, name, password)

    monkeypatch.setattr(accounts, "prepare", prepare_meanwhile)
    with app.app_context(), pytest.raises(invitations.NoInvitation):
        invitations.accept_as_new(secret, "Dora", PASSWORD, address=None)
    assert "Dora" not in roles(app, cast)
    with app.app_context():
        assert not accounts.has_account(DORA)


def test_who_was_let_in_meanwhile_keeps_their_role(
    app: Flask, ada: FlaskClient, cast: Cast, client: FlaskClient
) -> None:
    path = invited(ada, "cleo@example.com", role="member")
    with app.app_context():
        members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    sign_in(client, "cleo@example.com")
    assert post(client, path).location == "/w/acme/jobs"
    assert roles(app, cast)["Cleo"] == "admin"
