"""What counts by a person's right ends with it: tokens, webhooks and invitations, whatever way the person goes."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.concurrency import refusals_at_once
from tests.support.people import Cast
from tests.support.webhooks import EVERYTHING, PRIVATE, list_deliveries, send
from webapp.core import clock as core_clock
from webapp.core import jobs
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Forbidden
from webapp.core.lifecycle import JobStatus
from webapp.core.models import ApiToken, AuditEntry, Membership, Role, User, WebhookEndpoint
from webapp.core.webhooks import endpoints, sender
from webapp.core.workspaces import deletion, invitations, members, offboarding, sponsors, tokens, workspaces
from webapp.extensions import outbound

pytestmark = pytest.mark.usefixtures("core")
SOMEWHERE = "http://127.0.0.1:9/hook"


@pytest.fixture
def settings() -> Mapping[str, str]:
    return PRIVATE


@dataclass(frozen=True)
class Possessions:
    """What an admin of acme has created: two tokens with their texts, a webhook, and the secret of a link."""

    token: ApiToken
    text: str
    second: ApiToken
    second_text: str
    endpoint: WebhookEndpoint
    secret: str

    @property
    def ids(self) -> list[uuid.UUID]:
        return [self.token.id, self.second.id, self.endpoint.id]


def as_member(user: User) -> Membership:
    return workspaces.get_membership("acme", user.id)


@pytest.fixture
def hers(cast: Cast) -> Possessions:
    """Cleo, whom acme has made an admin, and what she created there."""
    members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    me, by = as_member(cast.cleo), Actor(cast.cleo.ref)
    token, text = tokens.create(me, "nightly", scopes=tokens.RUNNER_SCOPES, by=by)
    second, second_text = tokens.create(me, "import", scopes=tokens.RUNNER_SCOPES, by=by)
    endpoint = endpoints.create(me, SOMEWHERE, EVERYTHING, outbound=outbound(), by=by)
    _, secret = invitations.create(me, "eve@example.com", "admin", by=by)
    return Possessions(token, text, second, second_text, endpoint, secret)


def write(statement: sa.UpdateBase) -> None:
    """Write past every verb, as a way out that nobody has thought of would."""
    with write_transaction() as session:
        session.execute(statement.execution_options(synchronize_session=False))


def set_role(cast: Cast, role: Role) -> None:
    is_hers = Membership.workspace_id == cast.acme.id, Membership.user_id == cast.cleo.id
    write(sa.update(Membership).where(*is_hers).values(role=role))


def delete_membership(cast: Cast) -> None:
    write(sa.delete(Membership).where(Membership.workspace_id == cast.acme.id, Membership.user_id == cast.cleo.id))


def close_account(cast: Cast) -> None:
    write(sa.update(User).where(User.id == cast.cleo.id).values(deactivated_at=core_clock.now()))


WAYS_OUT: dict[str, Callable[[Cast], object]] = {
    "removed": lambda cast: members.remove(as_member(cast.ada), cast.cleo.id, by=Actor(cast.ada.ref)),
    "made a member": lambda cast: members.change_role(
        as_member(cast.ada), cast.cleo.id, Role.MEMBER, by=Actor(cast.ada.ref)
    ),
    "left": lambda cast: members.leave(as_member(cast.cleo), by=Actor(cast.cleo.ref)),
    "deactivated": lambda cast: offboarding.deactivate(cast.cleo, by=SYSTEM),
    "removed by command": lambda cast: members.remove_unchecked(cast.acme, cast.cleo, by=SYSTEM),
    "another way, by role": lambda cast: set_role(cast, Role.MEMBER),
    "another way, by membership": delete_membership,
    "another way, by account": close_account,
}
way_out = pytest.mark.parametrize("leave", WAYS_OUT.values(), ids=WAYS_OUT.keys())


def complete_a_job(cast: Cast) -> None:
    job_id = jobs.enqueue_job("report", cast.acme.id)
    for status in (JobStatus.RUNNING, JobStatus.COMPLETED):
        jobs.update_job_status(job_id, status=status)


# --- it ends -----------------------------------------------------------------------------------------------------


@way_out
def test_what_somebody_created_counts_until_they_may_create_it_no_longer(
    cast: Cast, hers: Possessions, leave: Callable[[Cast], object]
) -> None:
    assert tokens.authenticate(hers.text)
    assert invitations.get_by_secret(hers.secret)
    complete_a_job(cast)
    assert len(list_deliveries()) == 1
    leave(cast)
    assert tokens.authenticate(hers.text) is None
    with pytest.raises(invitations.NoInvitation):
        invitations.get_by_secret(hers.secret)
    with pytest.raises(invitations.NoInvitation):
        invitations.accept_as_new(hers.secret, "Eve", "correct horse battery", address=None)
    complete_a_job(cast)
    assert len(list_deliveries()) == 1
    assert sender.send_due(outbound(), lambda: True).attempts == 0


@way_out
def test_what_others_created_goes_on_counting(cast: Cast, hers: Possessions, leave: Callable[[Cast], object]) -> None:
    _, adas = tokens.create(as_member(cast.ada), "hers", scopes=tokens.RUNNER_SCOPES, by=Actor(cast.ada.ref))
    _, boards = tokens.create_unchecked(cast.acme.id, "the administrator's", by=SYSTEM)
    _, elsewhere = tokens.create(
        workspaces.get_membership("other", cast.cleo.id), "own", scopes=tokens.RUNNER_SCOPES, by=Actor(cast.cleo.ref)
    )
    _, secret = invitations.create(as_member(cast.ada), "fay@example.com", "member", by=Actor(cast.ada.ref))
    leave(cast)
    assert (bool(tokens.authenticate(adas)), bool(tokens.authenticate(boards))) == (True, True)
    assert invitations.get_by_secret(secret)
    closed = db.session.scalar(sa.select(User.deactivated_at).where(User.id == cast.cleo.id)) is not None
    assert bool(tokens.authenticate(elsewhere)) is not closed


def test_what_ended_with_a_role_does_not_come_back_with_it(cast: Cast, hers: Possessions) -> None:
    members.change_role(as_member(cast.ada), cast.cleo.id, Role.MEMBER, by=SYSTEM)
    members.change_role(as_member(cast.ada), cast.cleo.id, Role.ADMIN, by=SYSTEM)
    assert tokens.authenticate(hers.text) is None
    endpoint = endpoints.get(cast.acme.id, hers.endpoint.id)
    assert endpoint.disabled_at is not None
    assert "may no longer manage" in (endpoint.disabled_reason or "")


def test_who_becomes_the_owner_and_who_was_it_keep_what_they_created(cast: Cast, hers: Possessions) -> None:
    _, adas = tokens.create(as_member(cast.ada), "hers", scopes=tokens.RUNNER_SCOPES, by=Actor(cast.ada.ref))
    members.transfer(as_member(cast.ada), cast.cleo.id, by=Actor(cast.ada.ref))
    assert (bool(tokens.authenticate(adas)), bool(tokens.authenticate(hers.text))) == (True, True)


def test_messages_that_waited_for_a_disabled_webhook_are_not_sent_later(cast: Cast, hers: Possessions) -> None:
    complete_a_job(cast)
    members.remove(as_member(cast.ada), cast.cleo.id, by=SYSTEM)
    endpoints.enable(as_member(cast.ada), hers.endpoint.id, by=Actor(cast.ada.ref))
    assert send().attempts == 0


def test_each_end_is_a_line_of_the_audit_log(cast: Cast, hers: Possessions) -> None:
    members.remove(as_member(cast.ada), cast.cleo.id, keep=[hers.second.id], by=Actor(cast.ada.ref))
    lines = db.session.execute(
        sa.select(AuditEntry.action, AuditEntry.resource, AuditEntry.actor)
        .where(AuditEntry.workspace_id == cast.acme.id)
        .order_by(AuditEntry.id.desc())
        .limit(4)
    ).all()
    assert {(line.action, line.resource) for line in lines} == {
        ("member.removed", cast.cleo.ref),
        ("token.revoked", hers.token.ref),
        ("token.taken_over", hers.second.ref),
        ("webhook.disabled", f"webhook:{hers.endpoint.id}"),
    }
    assert {line.actor for line in lines} == {cast.ada.ref}


# --- it is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leave",
    [
        lambda cast, keep: members.remove(as_member(cast.ada), cast.cleo.id, keep=keep, by=SYSTEM),
        lambda cast, keep: members.change_role(as_member(cast.ada), cast.cleo.id, Role.MEMBER, keep=keep, by=SYSTEM),
        lambda cast, keep: members.leave(as_member(cast.cleo), keep=keep, by=SYSTEM),
        lambda cast, keep: offboarding.deactivate(cast.cleo, keep_all=True, by=SYSTEM),
        lambda cast, keep: members.remove_unchecked(cast.acme, cast.cleo, keep_all=True, by=SYSTEM),
    ],
    ids=["removed", "made a member", "left", "deactivated", "removed by command"],
)
def test_what_is_kept_goes_on_working_by_the_right_of_who_took_it_over(
    cast: Cast, hers: Possessions, leave: Callable[[Cast, list[uuid.UUID]], object]
) -> None:
    leave(cast, hers.ids)
    assert (bool(tokens.authenticate(hers.text)), bool(tokens.authenticate(hers.second_text))) == (True, True)
    complete_a_job(cast)
    assert len(list_deliveries()) == 1
    assert sponsors.list_sponsored(cast.acme.id, cast.ada).ids == frozenset(hers.ids)
    with pytest.raises(invitations.NoInvitation):
        invitations.get_by_secret(hers.secret)


def test_one_is_kept_and_the_others_are_revoked(cast: Cast, hers: Possessions) -> None:
    members.remove(as_member(cast.ada), cast.cleo.id, keep=[hers.second.id], by=SYSTEM)
    assert tokens.authenticate(hers.text) is None
    assert tokens.authenticate(hers.second_text)
    assert endpoints.get(cast.acme.id, hers.endpoint.id).disabled_at is not None


def test_what_was_taken_over_ends_with_who_took_it_over(cast: Cast, hers: Possessions) -> None:
    members.remove(as_member(cast.ada), cast.cleo.id, keep=hers.ids, by=SYSTEM)
    members.change_role(as_member(cast.ada), cast.ben.id, Role.ADMIN, by=SYSTEM)
    members.transfer(as_member(cast.ada), cast.ben.id, by=SYSTEM)
    offboarding.deactivate(cast.ada, by=SYSTEM)
    assert tokens.authenticate(hers.text) is None


def test_nobody_keeps_what_is_not_theirs_to_keep(cast: Cast, hers: Possessions) -> None:
    strange, text = tokens.create(
        workspaces.get_membership("other", cast.cleo.id), "own", scopes=tokens.RUNNER_SCOPES, by=SYSTEM
    )
    members.remove(as_member(cast.ada), cast.cleo.id, keep=[strange.id], by=SYSTEM)
    assert tokens.get(cast.other.id, strange.id).sponsor_id == cast.cleo.id
    assert tokens.authenticate(text)


def test_an_owner_alone_in_a_workspace_hands_nothing_over_and_stays_who_they_are(cast: Cast) -> None:
    mine = workspaces.get_membership("other", cast.cleo.id)
    _, text = tokens.create(mine, "own", scopes=tokens.RUNNER_SCOPES, by=Actor(cast.cleo.ref))
    with pytest.raises(Conflict, match="nobody else"):
        offboarding.deactivate(cast.cleo, keep_all=True, by=SYSTEM)
    assert tokens.authenticate(text)
    offboarding.deactivate(cast.cleo, by=SYSTEM)
    assert tokens.authenticate(text) is None


def test_a_removal_by_command_leaves_an_owner_where_they_are(cast: Cast) -> None:
    with pytest.raises(Conflict, match="transfer it first"):
        members.remove_unchecked(cast.acme, cast.ada, by=SYSTEM)
    assert as_member(cast.ada).role is Role.OWNER


# --- it is taken up again ----------------------------------------------------------------------------------------


def test_a_manager_takes_over_a_token_whose_sponsor_is_gone(cast: Cast, hers: Possessions) -> None:
    delete_membership(cast)
    assert sponsors.list_without_sponsor(cast.acme.id, ApiToken) == {hers.token.id, hers.second.id}
    assert sponsors.list_without_sponsor(cast.acme.id, WebhookEndpoint) == {hers.endpoint.id}
    tokens.adopt(as_member(cast.ada), hers.token.id, by=Actor(cast.ada.ref))
    assert tokens.authenticate(hers.text)
    assert sponsors.list_without_sponsor(cast.acme.id, ApiToken) == {hers.second.id}


def test_neither_a_member_nor_a_revoked_token_is_helped_by_taking_over(cast: Cast, hers: Possessions) -> None:
    with pytest.raises(Forbidden):
        tokens.adopt(as_member(cast.ben), hers.token.id, by=Actor(cast.ben.ref))
    tokens.revoke(as_member(cast.ada), hers.token.id, by=Actor(cast.ada.ref))
    with pytest.raises(Conflict):
        tokens.adopt(as_member(cast.ada), hers.token.id, by=Actor(cast.ada.ref))
    assert tokens.authenticate(hers.text) is None


@pytest.mark.parametrize("act", ["update", "enable"])
def test_who_saves_or_enables_a_webhook_stands_for_it(cast: Cast, hers: Possessions, act: str) -> None:
    delete_membership(cast)
    by = Actor(cast.ada.ref)
    if act == "update":
        endpoints.update(as_member(cast.ada), hers.endpoint.id, SOMEWHERE, EVERYTHING, outbound=outbound(), by=by)
    else:
        endpoints.enable(as_member(cast.ada), hers.endpoint.id, by=by)
    complete_a_job(cast)
    assert len(list_deliveries()) == 1


# --- at the same moment ------------------------------------------------------------------------------------------


def test_a_token_created_while_its_maker_is_removed_is_not_accepted(app: Flask, cast: Cast, hers: Possessions) -> None:
    texts: list[str] = []

    def create() -> None:
        texts.append(tokens.create(as_member(cast.cleo), "last", scopes=tokens.RUNNER_SCOPES, by=SYSTEM)[1])

    refusals_at_once(app, create, lambda: WAYS_OUT["removed"](cast))
    assert [tokens.authenticate(text) for text in texts] in ([], [None])


def test_nothing_of_a_deleted_workspace_counts(cast: Cast, hers: Possessions) -> None:
    deletion.delete(as_member(cast.ada), "Acme", by=SYSTEM)
    assert tokens.authenticate(hers.text) is None
    with pytest.raises(invitations.NoInvitation):
        invitations.get_by_secret(hers.secret)


def test_what_an_older_server_created_ends_with_its_maker(cast: Cast, hers: Possessions) -> None:
    """While a board is upgraded, a server of the version before goes on writing, and writes no sponsor."""
    write(sa.update(ApiToken).values(sponsor_id=None))
    assert tokens.authenticate(hers.text)
    members.remove(as_member(cast.ada), cast.cleo.id, by=SYSTEM)
    assert tokens.authenticate(hers.text) is None
