"""The table of roles: what each may do to each, by the buttons and without them, and what two at once come to."""

import re
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.support.concurrency import refusals_at_once
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.errors import Conflict, Forbidden, NotFound
from webapp.core.models import AuditEntry, Membership, Role, User
from webapp.core.workspaces import members, offboarding, workspaces

PAGE = "/w/acme/settings/members"


@dataclass(frozen=True)
class Team:
    """Everybody of acme by a word: its owner, two admins and two members."""

    owner: User
    admin: User
    admin2: User
    member: User
    member2: User

    @property
    def everybody(self) -> Mapping[str, User]:
        return self.__dict__


@pytest.fixture
def team(app: Flask, cast: Cast) -> Team:
    with app.app_context():
        more = [
            accounts.create(f"{name}@example.com", name.title(), PASSWORD, by=SYSTEM)
            for name in ("dora", "emil", "fay")
        ]
        for user, role in zip(more, (Role.ADMIN, Role.ADMIN, Role.MEMBER), strict=True):
            members.add_unchecked(cast.acme, user, role, by=SYSTEM)
    return Team(cast.ada, more[0], more[1], cast.ben, more[2])


def roles(app: Flask, cast: Cast) -> dict[str, str]:
    with app.app_context():
        return {member.user.name: member.role.value for member in members.list_members(cast.acme.id)}


def post(client: FlaskClient, address: str, data: Mapping[str, object] | None = None) -> TestResponse:
    token = csrf_token(client.get("/?all").text)
    return client.post(address, data={"csrf_token": token} | dict(data or {}))


# --- the table ---------------------------------------------------------------------------------------------------

ALLOWED = {
    "owner": {
        ("remove", "admin"),
        ("remove", "admin2"),
        ("remove", "member"),
        ("remove", "member2"),
        ("make member", "admin"),
        ("make member", "admin2"),
        ("make admin", "member"),
        ("make admin", "member2"),
        ("transfer", "admin"),
        ("transfer", "admin2"),
        ("transfer", "member"),
        ("transfer", "member2"),
    },
    "admin": {
        ("remove", "member"),
        ("remove", "member2"),
        ("make admin", "member"),
        ("make admin", "member2"),
        ("leave", "admin"),
    },
    "member": {("leave", "member")},
}
"""The table of product.md, written out."""


def buttons(html: str, team: Team) -> set[tuple[str, str]]:
    """What the page of members offers, and to do to whom."""
    ids = {str(user.id): word for word, user in team.everybody.items()}
    buttons = set()
    for row in re.findall(r'<tr id="member-.*?</tr>', html, re.DOTALL):
        whom = ids[re.findall(r'id="member-([^"]+)"', row)[0]]
        buttons |= {("make " + role, whom) for role in re.findall(r'name="role" value="(\w+)"', row)}
        buttons |= {("make member", whom) for _ in re.findall(r'href="[^"]*/role"', row)}
        buttons |= {(act, whom) for act in re.findall(r'href="[^"]*/(remove|transfer|leave)"', row)}
    return buttons


def press(client: FlaskClient, act: str, user: User) -> TestResponse:
    """Do what a button would do, whether there is one or not."""
    if act == "leave":
        return post(client, f"{PAGE}/leave")
    if act.startswith("make "):
        return post(client, f"{PAGE}/{user.id}/role", {"role": act.removeprefix("make ")})
    return post(client, f"{PAGE}/{user.id}/{act}")


@pytest.mark.parametrize("person", ["owner", "admin", "member"])
def test_each_role_sees_exactly_the_buttons_that_the_table_allows(client: FlaskClient, team: Team, person: str) -> None:
    sign_in(client, team.everybody[person].email)
    assert buttons(client.get(PAGE).text, team) == ALLOWED[person]


@pytest.mark.parametrize("person", ["owner", "admin", "member"])
def test_whoever_does_without_the_button_what_the_table_forbids_is_refused(
    app: Flask, client: FlaskClient, cast: Cast, team: Team, person: str
) -> None:
    sign_in(client, team.everybody[person].email)
    before = roles(app, cast)
    # To make somebody what they are changes nothing; that is a refusal only to who may change no roles at all.
    unchanged = {
        ("make admin", "admin"),
        ("make admin", "admin2"),
        ("make member", "member"),
        ("make member", "member2"),
    }
    tried = 0
    for whom, user in team.everybody.items():
        for act in ("remove", "make admin", "make member", "transfer", "leave"):
            if (act, whom) in ALLOWED[person] or (act == "leave" and whom != person):
                continue
            answer = press(client, act, user)
            if (act, whom) in unchanged and person != "member":
                assert answer.status_code == 303
            elif (act, whom, person) == ("transfer", "owner", "owner"):
                assert answer.status_code == 409
            else:
                assert answer.status_code == 403, (act, whom)
            if act in ("remove", "transfer"):
                assert client.get(f"{PAGE}/{user.id}/{act}").status_code in (403, 409)
            tried += 1
    assert tried > 8
    assert roles(app, cast) == before


@pytest.mark.parametrize(
    ("person", "act", "whom"), sorted((person, *rule) for person, rules in ALLOWED.items() for rule in rules)
)
def test_what_the_table_allows_is_done_and_told_in_the_audit_log(
    app: Flask, client: FlaskClient, cast: Cast, team: Team, person: str, act: str, whom: str
) -> None:
    me, other = team.everybody[person], team.everybody[whom]
    sign_in(client, me.email)
    if act != "make admin":
        ask = {"leave": "leave", "make member": f"{other.id}/role"}.get(act, f"{other.id}/{act}")
        assert client.get(f"{PAGE}/{ask}").status_code == 200
    assert press(client, act, other).status_code == 303
    role = roles(app, cast).get(other.name)
    assert role == {"make admin": "admin", "make member": "member", "transfer": "owner"}.get(act)
    assert list(roles(app, cast).values()).count("owner") == 1
    action = {
        "remove": "member.removed",
        "leave": "member.left",
        "transfer": "workspace.transferred",
    }.get(act, "member.role_changed")
    with app.app_context():
        [entry] = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == action))
    assert (entry.actor, entry.resource, entry.workspace_id) == (me.ref, other.ref, cast.acme.id)


# --- who is there ------------------------------------------------------------------------------------------------


def test_every_member_comes_to_the_list_of_members_and_sees_who_is_in_which_role(
    client: FlaskClient, team: Team
) -> None:
    sign_in(client, "ben@example.com")
    assert f'href="{PAGE}"' in client.get("/w/acme/jobs").text
    page = client.get(PAGE).text
    for user in team.everybody.values():
        assert user.email in page
    assert "cleo@example.com" not in page
    assert page.count("(you)") == 1


def test_a_removed_member_finds_nothing_behind_their_open_pages(app: Flask, cast: Cast) -> None:
    ada, ben = app.test_client(), app.test_client()
    sign_in(ada, "ada@example.com")
    sign_in(ben, "ben@example.com")
    assert ben.get("/w/acme/jobs").status_code == 200
    assert press(ada, "remove", cast.ben).status_code == 303
    for address in ("/w/acme/jobs", "/w/acme/jobs/table", PAGE):
        assert ben.get(address).status_code == 404
    assert ben.get("/w/acme/jobs/table", headers={"HX-Request": "true"}).status_code == 404
    assert "Acme" not in ben.get("/", follow_redirects=True).text


def test_a_stranger_is_no_member_whom_one_could_act_upon(client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ada@example.com")
    for user_id in (cast.cleo.id, uuid.uuid4()):
        for act in ("remove", "transfer"):
            assert client.get(f"{PAGE}/{user_id}/{act}").status_code == 404
            assert post(client, f"{PAGE}/{user_id}/{act}").status_code == 404
        assert post(client, f"{PAGE}/{user_id}/role", {"role": "admin"}).status_code == 404


@pytest.mark.parametrize("role", ["owner", "king", ""])
def test_a_role_that_cannot_be_given_is_refused(app: Flask, client: FlaskClient, cast: Cast, role: str) -> None:
    sign_in(client, "ada@example.com")
    assert post(client, f"{PAGE}/{cast.ben.id}/role", {"role": role}).status_code == 422
    assert roles(app, cast) == {"Ada": "owner", "Ben": "member"}


def test_a_closed_account_is_offered_no_ownership_and_gets_none(app: Flask, client: FlaskClient, cast: Cast) -> None:
    with app.app_context():
        offboarding.deactivate(cast.ben, by=SYSTEM)
    sign_in(client, "ada@example.com")
    page = client.get(PAGE).text
    assert "account closed" in page
    assert "Make Ben the owner" not in page
    assert press(client, "transfer", cast.ben).status_code == 409
    assert roles(app, cast) == {"Ada": "owner", "Ben": "member"}


# --- what was true a moment ago ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("core")
class TestAMomentAgo:
    def test_who_is_no_owner_any_more_transfers_nothing(self, cast: Cast, team: Team) -> None:
        ada = workspaces.get_membership("acme", cast.ada.id)
        db.session.expunge(ada)
        members.transfer_unchecked(cast.acme, cast.ben, by=SYSTEM)
        assert ada.role is Role.OWNER
        with pytest.raises(Forbidden):
            members.transfer(ada, team.admin.id, by=SYSTEM)
        assert workspaces.get_membership("acme", cast.ben.id).role is Role.OWNER

    def test_who_was_removed_removes_nobody(self, cast: Cast, team: Team) -> None:
        dora = workspaces.get_membership("acme", team.admin.id)
        ada = workspaces.get_membership("acme", cast.ada.id)
        db.session.expunge(dora)
        members.remove(ada, team.admin.id, by=SYSTEM)
        with pytest.raises(NotFound):
            members.remove(dora, cast.ben.id, by=SYSTEM)
        assert workspaces.get_membership("acme", cast.ben.id)

    def test_an_admin_removes_nobody_who_was_just_made_an_admin(self, cast: Cast, team: Team) -> None:
        dora, ada = workspaces.get_membership("acme", team.admin.id), workspaces.get_membership("acme", cast.ada.id)
        ben = workspaces.get_membership("acme", cast.ben.id)
        assert dora.may_remove(ben)
        db.session.expunge(ben)
        members.change_role(ada, cast.ben.id, Role.ADMIN, by=SYSTEM)
        with pytest.raises(Forbidden):
            members.remove(dora, cast.ben.id, by=SYSTEM)


def as_member(cast: Cast, user: User) -> Membership:
    return workspaces.get_membership("acme", user.id)


def test_of_two_transfers_at_once_one_is_refused_and_one_owner_is_left(app: Flask, cast: Cast, team: Team) -> None:
    came = refusals_at_once(
        app,
        lambda: members.transfer(as_member(cast, team.owner), team.admin.id, by=Actor(team.owner.ref)),
        lambda: members.transfer(as_member(cast, team.owner), team.member.id, by=Actor(team.owner.ref)),
    )
    assert sorted(type(each).__name__ for each in came) == ["Forbidden", "NoneType"]
    assert sorted(roles(app, cast).values()).count("owner") == 1


def test_two_admins_who_remove_the_same_member_do_it_once(app: Flask, cast: Cast, team: Team) -> None:
    came = refusals_at_once(
        app,
        lambda: members.remove(as_member(cast, team.admin), team.member.id, by=Actor(team.admin.ref)),
        lambda: members.remove(as_member(cast, team.admin2), team.member.id, by=Actor(team.admin2.ref)),
    )
    assert sorted(type(each).__name__ for each in came) == ["NoneType", "NotFound"]
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).where(AuditEntry.action == "member.removed")) == 1


def test_a_heir_who_leaves_at_the_same_moment_leaves_no_workspace_without_an_owner(
    app: Flask, cast: Cast, team: Team
) -> None:
    came = refusals_at_once(
        app,
        lambda: members.transfer(as_member(cast, team.owner), team.member.id, by=Actor(team.owner.ref)),
        lambda: members.leave(as_member(cast, team.member), by=Actor(team.member.ref)),
    )
    assert sorted(type(each).__name__ for each in came) in (["Forbidden", "NoneType"], ["NoneType", "NotFound"])
    assert list(roles(app, cast).values()).count("owner") == 1
    assert not any(isinstance(each, Conflict) for each in came)


def test_two_who_act_upon_each_other_at_once_do_not_wait_in_a_circle(
    app: Flask, cast: Cast, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_begun = threading.Barrier(2)

    lock_member = members._lock_member

    def lock_member_together(session: Session, workspace_id: uuid.UUID, user_id: uuid.UUID) -> Membership | None:
        member = lock_member(session, workspace_id, user_id)
        # Whoever is alone here, because the other is kept waiting, goes on after a moment.
        with suppress(threading.BrokenBarrierError):
            both_have_begun.wait(0.2)
        return member

    monkeypatch.setattr(members, "_lock_member", lock_member_together)
    owner, admin = team.owner, team.admin
    came = refusals_at_once(
        app,
        lambda: members.change_role(as_member(cast, owner), admin.id, Role.MEMBER, by=Actor(owner.ref)),
        lambda: members.remove(as_member(cast, admin), owner.id, by=Actor(admin.ref)),
    )
    assert [type(each).__name__ for each in came] == ["NoneType", "Forbidden"]
    assert (roles(app, cast)["Ada"], roles(app, cast)["Dora"]) == ("owner", "member")
