"""Deletes a workspace: closed at once and in one transaction; what was in it is deleted afterwards, in batches.

A workspace may hold a million jobs. Nobody's request waits for them, and no transaction holds up the runners of other
workspaces: the workspace has no members and no tokens any more, so that nobody reaches it, and the chore
``deleted_workspaces`` deletes the rest.
"""

import sqlalchemy as sa

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.bidi import isolate
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Forbidden, Invalid
from webapp.core.models import (
    ApiToken,
    Invitation,
    Membership,
    WebhookEndpoint,
    Workspace,
)
from webapp.core.workspaces.members import lock_self


def require_may_delete(member: Membership) -> None:
    """Refuse unless ``member`` may delete the workspace. Raises ``Forbidden``."""
    if not member.may_delete:
        raise Forbidden(f"Only the owner of {isolate(member.workspace.name)} may delete it.")


def delete(member: Membership, confirmation: str, *, by: Actor) -> None:
    """Close a workspace for good. From now on it is unknown to its members and its tokens, and its slug is free.

    ``confirmation`` must be its name. Raises ``Forbidden`` unless ``member`` owns it, and ``Invalid``.
    """
    require_may_delete(member)
    workspace = member.workspace
    at, name, slug = clock.now(), workspace.name, workspace.slug
    if confirmation.strip() != name:
        raise Invalid([Fault(("name",), f"That is not its name, {name}.")])
    with write_transaction() as session:
        me = lock_self(session, member)
        require_may_delete(me)
        # The invitations first: one that is being accepted now is waited for, and its new member is met below.
        for model in (Invitation, Membership, ApiToken):
            deletion = sa.delete(model).where(model.workspace_id == workspace.id)
            session.execute(deletion.execution_options(synchronize_session=False))
        disabled = {"disabled_at": at, "disabled_reason": "The workspace was deleted."}
        session.execute(sa.update(WebhookEndpoint).where(WebhookEndpoint.workspace_id == workspace.id).values(disabled))
        # No address can have this slug.
        closed = {"deleted_at": at, "slug": f"~{workspace.id.hex}"}
        session.execute(
            sa.update(Workspace)
            .where(Workspace.id == workspace.id)
            .values(closed)
            .execution_options(synchronize_session=False)
        )
        # Outside the workspace: its own log goes with it.
        detail = {"name": name, "slug": slug}
        audit.record(session, "workspace.deleted", f"workspace:{workspace.id}", by=by, workspace_id=None, detail=detail)
