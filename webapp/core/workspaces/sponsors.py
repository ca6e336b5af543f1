"""Knows by whose right a token, a webhook or an invitation counts: its sponsor's, who created it or took it over.

It counts as long as its sponsor may create such things: has an account that is not deactivated, and is owner or admin
of the workspace. That is asked of the database each time one is used, so that no way out of a workspace can be
forgotten. Without a sponsor, it was created by the administrator and counts.

Who leaves a workspace, in whatever way, leaves nothing behind unnoticed: each token and webhook of theirs is revoked,
or taken over by somebody who may.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.errors import Conflict
from webapp.core.models import (
    ApiToken,
    Invitation,
    Membership,
    Role,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)
from webapp.core.models.base import table_of

_MANAGERS = tuple(role for role in Role if role.can_manage)
_member, _user = table_of(Membership).c, table_of(User).c


@dataclass(frozen=True)
class Sponsored:
    """The tokens and webhooks of one workspace that one person stands for."""

    tokens: Sequence[ApiToken]
    endpoints: Sequence[WebhookEndpoint]

    def __iter__(self) -> Iterator[ApiToken | WebhookEndpoint]:
        yield from self.tokens
        yield from self.endpoints

    @property
    def ids(self) -> frozenset[uuid.UUID]:
        return frozenset(one.id for one in self)


def has_live_sponsor(model: type[ApiToken | WebhookEndpoint | Invitation]) -> sa.ColumnElement[bool]:
    """Return in SQL whether a row of this table counts: its sponsor may still create it, or it has none."""
    row = table_of(model).c
    is_manager = sa.exists().where(
        _member.workspace_id == row.workspace_id,
        _member.user_id == row.sponsor_id,
        # Not as parameters: SQLite prepares a statement anew at each use (50 µs) if it compares one with a column that
        # the condition of a partial index names.
        sa.or_(*(_member.role == sa.literal_column(f"'{role}'") for role in _MANAGERS)),
        _user.id == _member.user_id,
        _user.deactivated_at.is_(None),
    )
    return sa.or_(row.sponsor_id.is_(None), is_manager)


# --- read --------------------------------------------------------------------------------------------------------


def list_sponsored(workspace_id: uuid.UUID, user: User) -> Sponsored:
    """Return the tokens that are neither revoked nor expired and the enabled webhooks that a person stands for."""
    return _list_sponsored(db.session(), workspace_id, user)


def list_without_sponsor(workspace_id: uuid.UUID, model: type[ApiToken | WebhookEndpoint]) -> frozenset[uuid.UUID]:
    """Return the ids of a workspace's tokens, or of its webhooks, that do not count because their sponsor is gone."""
    row = table_of(model).c
    query = sa.select(row.id).where(row.workspace_id == workspace_id, sa.not_(has_live_sponsor(model)))
    return frozenset(db.session.scalars(query))


def _list_sponsored(session: Session, workspace_id: uuid.UUID, user: User) -> Sponsored:
    is_good = ApiToken.revoked_at.is_(None), sa.or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > clock.now())
    tokens = sa.select(ApiToken).where(_is_sponsored_by(ApiToken, workspace_id, user), *is_good)
    endpoints = sa.select(WebhookEndpoint).where(
        _is_sponsored_by(WebhookEndpoint, workspace_id, user), WebhookEndpoint.disabled_at.is_(None)
    )
    fresh = {"populate_existing": True}
    return Sponsored(
        session.scalars(tokens.order_by(ApiToken.id.desc()).execution_options(**fresh)).all(),
        session.scalars(endpoints.order_by(WebhookEndpoint.id).execution_options(**fresh)).all(),
    )


def _is_sponsored_by(
    model: type[ApiToken | WebhookEndpoint | Invitation], workspace_id: uuid.UUID, user: User
) -> sa.ColumnElement[bool]:
    row = table_of(model).c
    # A server of the version before, which may still be running beside this one, writes no sponsor.
    created_without = sa.and_(row.sponsor_id.is_(None), row.created_by == user.ref)
    return sa.and_(row.workspace_id == workspace_id, sa.or_(row.sponsor_id == user.id, created_without))


# --- write -------------------------------------------------------------------------------------------------------


def release(
    session: Session,
    workspace_id: uuid.UUID,
    user: User,
    *,
    keep: Collection[uuid.UUID],
    new_sponsor_id: uuid.UUID | None,
    by: Actor,
) -> Sponsored:
    """End what counted by a person's right in a workspace, within the transaction that takes the right away.

    Open invitations are revoked. Of the tokens and webhooks, those in ``keep`` are taken over by ``new_sponsor_id``,
    the others revoked and disabled. Returns what was revoked. Raises ``Conflict`` (``nobody``) if there is something
    to keep and nobody to take it over.
    """
    _revoke_invitations(session, workspace_id, user)
    sponsored = _list_sponsored(session, workspace_id, user)
    kept = sponsored.ids.intersection(keep)
    if kept:
        _take_over_kept(session, sponsored, kept, new_sponsor_id, by)
    revoked = Sponsored(
        [token for token in sponsored.tokens if token.id not in kept],
        [endpoint for endpoint in sponsored.endpoints if endpoint.id not in kept],
    )
    for token in revoked.tokens:
        token.revoked_at = clock.now()
        detail = {"created_by": token.created_by}
        audit.record(session, "token.revoked", token.ref, by=by, workspace_id=workspace_id, detail=detail)
    for endpoint in revoked.endpoints:
        _disable(session, endpoint, user, by)
    return revoked


def release_all(session: Session, workspace_id: uuid.UUID, user: User, *, keep_all: bool, by: Actor) -> Sponsored:
    """End what counted by a person's right, as ``release``: everything is revoked, or everything taken over.

    It is taken over by the owner or, if that is the person, by an admin.
    """
    keep = _list_sponsored(session, workspace_id, user).ids if keep_all else ()
    new_sponsor_id = find_new_sponsor(session, workspace_id, user)
    return release(session, workspace_id, user, keep=keep, new_sponsor_id=new_sponsor_id, by=by)


def _revoke_invitations(session: Session, workspace_id: uuid.UUID, user: User) -> None:
    is_open = Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None)
    revoke = sa.update(Invitation).where(_is_sponsored_by(Invitation, workspace_id, user), *is_open)
    session.execute(revoke.values(revoked_at=clock.now()).execution_options(synchronize_session=False))


def _take_over_kept(
    session: Session, sponsored: Sponsored, kept: Collection[uuid.UUID], new_sponsor_id: uuid.UUID | None, by: Actor
) -> None:
    if new_sponsor_id is None:
        raise Conflict("nobody", "There is nobody else who could take over the tokens and webhooks; revoke them.")
    for one in sponsored:
        if one.id in kept:
            take_over(session, one, new_sponsor_id, by=by)


def take_over(session: Session, one: ApiToken | WebhookEndpoint, sponsor_id: uuid.UUID, *, by: Actor) -> None:
    """Let a token or webhook count by the right of another person, within a transaction. Who has it keeps it."""
    if one.sponsor_id == sponsor_id:
        return
    one.sponsor_id = sponsor_id
    noun = "token" if isinstance(one, ApiToken) else "webhook"
    detail = {"sponsor": f"user:{sponsor_id}"}
    audit.record(session, f"{noun}.taken_over", f"{noun}:{one.id}", by=by, workspace_id=one.workspace_id, detail=detail)


def _disable(session: Session, endpoint: WebhookEndpoint, user: User, by: Actor) -> None:
    endpoint.disabled_at = clock.now()
    endpoint.disabled_reason = "The person who stood for it may no longer manage this workspace."
    pending = sa.update(WebhookDelivery).where(
        WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.due_at.is_not(None)
    )
    session.execute(pending.values(due_at=None).execution_options(synchronize_session=False))
    detail = {"url": endpoint.url, "created_by": endpoint.created_by}
    audit.record(
        session,
        "webhook.disabled",
        f"webhook:{endpoint.id}",
        by=by,
        workspace_id=endpoint.workspace_id,
        detail=detail,
    )


def find_new_sponsor(session: Session, workspace_id: uuid.UUID, user: User) -> uuid.UUID | None:
    """Return who takes over what a person leaves behind: the owner, else the admin of longest standing, if any."""
    others = (
        sa.select(_member.user_id)
        .join(table_of(User), _user.id == _member.user_id)
        .where(
            _member.workspace_id == workspace_id,
            _member.user_id != user.id,
            _member.role.in_(_MANAGERS),
            _user.deactivated_at.is_(None),
        )
    )
    return session.scalar(others.order_by(_member.role != Role.OWNER, _member.created_at, _member.user_id).limit(1))
