"""How many of everything a workspace and a person may have: defaults, what an administrator sets, and who is first."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.concurrency import at_once, refusals_at_once
from tests.support.jobs import OPERATOR
from tests.support.people import PASSWORD, Cast
from webapp.core.accounts import accounts, sessions
from webapp.core.audit import SYSTEM
from webapp.core.chores import retention
from webapp.core.database.session import db
from webapp.core.errors import Conflict, Invalid
from webapp.core.jobs import time_limits
from webapp.core.jobs.inputs import Limits
from webapp.core.lifecycle import JobStatus
from webapp.core.limits import limits
from webapp.core.limits.limits import Limit, Owner, of_user, of_workspace
from webapp.core.models import AuditEntry, Membership, Role, User
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import invitations, members, tokens, workspaces
from webapp.extensions import outbound

Take = Callable[[int], object]


@pytest.fixture
def ada(core: Flask, cast: Cast) -> Membership:
    """Ada, as the owner of acme."""
    return workspaces.get_membership("acme", cast.ada.id)


def make_person(number: int) -> User:
    """Somebody who belongs to no workspace yet."""
    return accounts.create(f"p{number}@example.com", "P", PASSWORD, by=SYSTEM)


@pytest.fixture
def takes(ada: Membership, cast: Cast) -> dict[Limit, tuple[Owner, Take]]:
    """Of each limit that is counted: whose it is, and how one more is taken; a number makes each a different one."""
    acme, url = of_workspace(cast.acme.id), "http://8.8.8.8/hooks"
    people = [make_person(number) for number in range(5)]
    return {
        limits.WEBHOOKS: (
            acme,
            lambda n: endpoints.create(ada, f"{url}/{n}", ["job.failed"], outbound=outbound(), by=OPERATOR),
        ),
        limits.TOKENS: (acme, lambda n: tokens.create_unchecked(cast.acme.id, f"token {n}", by=SYSTEM)),
        limits.INVITATIONS: (acme, lambda n: invitations.create(ada, f"i{n}@example.com", "member", by=OPERATOR)),
        limits.MEMBERS: (acme, lambda n: members.add_unchecked(cast.acme, people[n], Role.MEMBER, by=SYSTEM)),
        limits.TIME_LIMITS: (
            acme,
            lambda n: time_limits.set_limits(ada, Limits(type=f"t{n}", max_duration=60), by=OPERATOR),
        ),
        limits.WORKSPACES: (
            of_user(cast.ada.id),
            lambda n: workspaces.create("More", f"more-{n}", owner=cast.ada, by=SYSTEM),
        ),
    }


COUNTED = [limit for limit in (*limits.OF_WORKSPACE, *limits.OF_USER) if "day" not in limit.name]
REFUSING = [limit for limit in COUNTED if limit is not limits.SESSIONS]
TAKEN_ALREADY = {limits.MEMBERS: 2, limits.WORKSPACES: 1}
"""Ada and Ben are in acme, which Ada owns."""


def by_name(limit: Limit) -> str:
    return limit.name


@pytest.mark.parametrize("limit", REFUSING, ids=by_name)
def test_of_many_who_want_the_last_places_only_so_many_get_one(
    limit: Limit, core: Flask, takes: dict[Limit, tuple[Owner, Take]]
) -> None:
    owner, take = takes[limit]
    limits.set_limit(owner, limit.name, TAKEN_ALREADY.get(limit, 0) + 2, by=SYSTEM)
    refusals = [refusal for refusal in refusals_at_once(core, *(partial(take, n) for n in range(5))) if refusal]
    assert len(refusals) == 3
    assert {getattr(refusal, "code", None) for refusal in refusals} == {"too_many"}


@pytest.mark.parametrize("limit", REFUSING, ids=by_name)
def test_a_limit_that_is_raised_makes_room(limit: Limit, takes: dict[Limit, tuple[Owner, Take]]) -> None:
    owner, take = takes[limit]
    most = TAKEN_ALREADY.get(limit, 0)
    limits.set_limit(owner, limit.name, most, by=SYSTEM)
    with pytest.raises(Conflict) as refused:
        take(0)
    assert str(refused.value) == limit.refusal.format(most)
    limits.set_limit(owner, limit.name, most + 1, by=SYSTEM)
    take(0)


def test_of_many_who_sign_in_at_once_the_newest_stay_signed_in(core: Flask, cast: Cast) -> None:
    limits.set_limit(of_user(cast.ada.id), "sessions", 3, by=SYSTEM)
    first, *_ = sessions.sign_in("ada@example.com", PASSWORD, address="192.0.2.1")
    at_once(core, *(partial(sessions.sign_in, "ada@example.com", PASSWORD, address="192.0.2.1") for _ in range(4)))
    db.session.commit()
    kept = sessions.list_sessions(cast.ada)
    assert len(kept) == 3
    assert first.id not in {session.id for session in kept}


def test_the_sessions_of_others_end_for_nobody(core: Flask, cast: Cast) -> None:
    limits.set_limit(of_user(cast.ada.id), "sessions", 1, by=SYSTEM)
    sessions.sign_in("ben@example.com", PASSWORD, address="192.0.2.1")
    for _ in range(2):
        sessions.sign_in("ada@example.com", PASSWORD, address="192.0.2.1")
    assert (len(sessions.list_sessions(cast.ada)), len(sessions.list_sessions(cast.ben))) == (1, 1)


def test_what_is_given_up_makes_room_again(ada: Membership, cast: Cast) -> None:
    limits.set_limit(of_workspace(cast.acme.id), "tokens", 1, by=SYSTEM)
    token, _ = tokens.create_unchecked(cast.acme.id, "one", by=SYSTEM)
    tokens.revoke(ada, token.id, by=OPERATOR)
    tokens.create_unchecked(cast.acme.id, "two", by=SYSTEM)


def test_what_was_given_up_counts_for_a_day(ada: Membership, cast: Cast, clock: Clock) -> None:
    acme = of_workspace(cast.acme.id)
    for name in ("tokens-per-day", "invitations-per-day"):
        limits.set_limit(acme, name, 2, by=SYSTEM)
    for _ in range(2):
        token, _ = tokens.create_unchecked(cast.acme.id, "again", by=SYSTEM)
        tokens.revoke(ada, token.id, by=OPERATOR)
        invitations.create(ada, "i@example.com", "member", by=OPERATOR)
    other, _ = tokens.create_unchecked(cast.other.id, "of others", by=SYSTEM)
    for create in (
        lambda: tokens.create_unchecked(cast.acme.id, "again", by=SYSTEM),
        lambda: invitations.create(ada, "i@example.com", "member", by=OPERATOR),
    ):
        clock.moment = other.created_at + timedelta(hours=23)
        with pytest.raises(Conflict) as refused:
            create()
        assert refused.value.code == "too_many"
        clock.advance(hours=1)
        create()


@pytest.mark.parametrize("limit", ["tokens-per-day", "invitations-per-day"])
def test_of_many_who_want_the_last_of_a_day_only_so_many_get_one(
    limit: str, core: Flask, takes: dict[Limit, tuple[Owner, Take]]
) -> None:
    owner, take = takes[limits.TOKENS if limit == "tokens-per-day" else limits.INVITATIONS]
    limits.set_limit(owner, limit, 2, by=SYSTEM)
    refusals = refusals_at_once(core, *(partial(take, n) for n in range(5)))
    assert sum(refusal is not None for refusal in refusals) == 3


def test_a_transfer_counts_for_the_new_owner(ada: Membership, cast: Cast) -> None:
    limits.set_limit(of_user(cast.ben.id), "workspaces", 0, by=SYSTEM)
    with pytest.raises(Conflict) as refused:
        members.transfer(ada, cast.ben.id, by=OPERATOR)
    assert refused.value.code == "too_many"
    assert members.get(cast.acme.id, cast.ada.id).role is Role.OWNER


def test_a_workspace_that_is_full_takes_in_nobody_by_an_invitation(ada: Membership) -> None:
    person = make_person(1)
    _, secret = invitations.create(ada, person.email, "member", by=OPERATOR)
    limits.set_limit(of_workspace(ada.workspace_id), "members", 2, by=SYSTEM)
    with pytest.raises(Conflict):
        invitations.accept(secret, person, by=OPERATOR)
    limits.set_limit(of_workspace(ada.workspace_id), "members", 3, by=SYSTEM)
    assert invitations.accept(secret, person, by=OPERATOR).slug == "acme"


def test_of_two_who_set_the_retention_at_once_one_has_it_as_said(core: Flask, ada: Membership, cast: Cast) -> None:
    one, other = {JobStatus.COMPLETED: 7}, {JobStatus.FAILED: 30}
    at_once(core, *(partial(retention.set_retention, ada, days, by=OPERATOR) for days in (one, other)))
    db.session.commit()
    assert retention.get_retention(cast.acme.id) in (one, other)


# --- set ---------------------------------------------------------------------------------------------------------


def test_a_limit_of_one_is_none_of_another_and_goes_back_to_its_default(core: Flask, cast: Cast) -> None:
    acme, other = of_workspace(cast.acme.id), of_workspace(cast.other.id)
    limits.set_limit(acme, "webhooks", 0, by=SYSTEM)
    assert limits.get_limit(db.session(), acme, limits.WEBHOOKS) == 0
    assert limits.get_limit(db.session(), other, limits.WEBHOOKS) == limits.WEBHOOKS.default
    limits.set_limit(acme, "webhooks", None, by=SYSTEM)
    assert limits.list_limits(acme) == limits.list_limits(other)
    assert all(limit.is_default for limit in limits.list_limits(acme))


def test_who_sets_a_limit_stands_in_the_audit_log(core: Flask, cast: Cast) -> None:
    limits.set_limit(of_workspace(cast.acme.id), "webhooks", 30, by=SYSTEM)
    limits.set_limit(of_user(cast.ada.id), "sessions", None, by=SYSTEM)
    query = sa.select(AuditEntry).where(AuditEntry.action.like("%.limit_set")).order_by(AuditEntry.id)
    lines = [(entry.action, entry.workspace_id, entry.detail) for entry in db.session.scalars(query)]
    assert lines == [
        ("workspace.limit_set", cast.acme.id, {"limit": "webhooks", "value": 30}),
        ("user.limit_set", None, {"limit": "sessions", "value": None}),
    ]


@pytest.mark.parametrize(("name", "value"), [("sessions", 1), ("", 1), ("webhooks", -1), ("webhooks", 2**31)])
def test_a_limit_that_does_not_exist_and_a_number_out_of_bounds_are_refused(
    name: str, value: int, core: Flask, cast: Cast
) -> None:
    with pytest.raises(Invalid):
        limits.set_limit(of_workspace(cast.acme.id), name, value, by=SYSTEM)
