"""Closes an account, and ends in every workspace what counted by the person's right."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core.accounts import accounts
from webapp.core.audit import Actor
from webapp.core.database.transactions import write_transaction
from webapp.core.models import Membership, User, Workspace
from webapp.core.workspaces import sponsors
from webapp.core.workspaces.members import lock_members
from webapp.core.workspaces.sponsors import Sponsored


def deactivate(user: User, *, keep_all: bool = False, by: Actor) -> Mapping[str, Sponsored]:
    """Close an account and sign it out everywhere; what it did stays under its name. Again changes nothing.

    In each workspace the person's tokens and webhooks are revoked or, with ``keep_all``, taken over by the owner or an
    admin. Returns what was revoked, by the slug of its workspace. Raises ``Conflict`` (``nobody``) if a workspace has
    nobody else for that.
    """
    with write_transaction() as session:
        workspaces = _lock_workspaces(session, user)
        accounts.close(session, user, by=by)
        return {
            workspace.slug: sponsors.release_all(session, workspace.id, user, keep_all=keep_all, by=by)
            for workspace in workspaces
        }


def _lock_workspaces(session: Session, user: User) -> Sequence[Workspace]:
    """Lock the members of a person's workspaces, in the order of their ids, so that two never wait in a circle."""
    query = sa.select(Workspace).join(Membership, Membership.workspace_id == Workspace.id)
    workspaces = session.scalars(query.where(Membership.user_id == user.id).order_by(Workspace.id)).all()
    for workspace in workspaces:
        lock_members(session, workspace.id)
    return workspaces
