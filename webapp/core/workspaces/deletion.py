"""The end of a workspace: closed at once and in one transaction; what was in it is deleted afterwards, in batches.

A workspace may hold a million jobs. Nobody's request waits for them, and no transaction holds up the runners of other
workspaces: the workspace has no members and no tokens any more, so that nobody finds it, and the chores clear it away.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.chores.retention import BATCH, delete_jobs
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Forbidden, Invalid
from webapp.core.models import (
    ApiToken,
    AuditEntry,
    Invitation,
    JobRun,
    Membership,
    WebhookDelivery,
    WebhookEndpoint,
    Workspace,
)
from webapp.core.workspaces.members import meet


def check(member: Membership) -> None:
    """Raises ``Forbidden`` unless ``member`` may delete the workspace."""
    if not member.may_delete:
        raise Forbidden(f"Only the owner of {member.workspace.name} may delete it.")


def delete(member: Membership, typed: str, *, by: Actor) -> None:
    """Close a workspace for good. From now on it is unknown to its members and its tokens, and its slug is free.

    ``typed`` must be its name. Raises ``Forbidden`` unless ``member`` owns it, and ``Invalid``.
    """
    check(member)
    workspace = member.workspace
    at, name, slug = clock.now(), workspace.name, workspace.slug
    if typed.strip() != name:
        raise Invalid([Fault(("name",), f"That is not its name, {name}.")])
    with write_transaction() as session:
        me, _ = meet(session, member, member.user_id)
        check(me)
        # The invitations first: one that is being accepted now is waited for, and its new member is met below.
        for model in (Invitation, Membership, ApiToken):
            gone = sa.delete(model).where(model.workspace_id == workspace.id)
            session.execute(gone.execution_options(synchronize_session=False))
        silent = {"disabled_at": at, "disabled_reason": "The workspace was deleted."}
        session.execute(sa.update(WebhookEndpoint).where(WebhookEndpoint.workspace_id == workspace.id).values(silent))
        # No address can have this slug.
        closed = {"deleted_at": at, "slug": f"~{workspace.id.hex}"}
        session.execute(
            sa.update(Workspace)
            .where(Workspace.id == workspace.id)
            .values(closed)
            .execution_options(synchronize_session=False)
        )
        # Outside the workspace: its own log goes with it.
        told = {"name": name, "slug": slug}
        audit.record(session, "workspace.deleted", f"workspace:{workspace.id}", by=by, workspace_id=None, detail=told)


# --- the sweep ---------------------------------------------------------------------------------------------------


def sweep(go_on: Callable[[], bool] = lambda: True) -> int:
    """Clear away what deleted workspaces have left; how many were finished. ``go_on`` is asked after each batch."""
    finished = 0
    for workspace_id in db.session.scalars(sa.select(Workspace.id).where(Workspace.deleted_at.is_not(None))).all():
        for clear in (_clear_messages, _clear_jobs, _clear_audit_log):
            while clear(workspace_id):
                if not go_on():
                    return finished
        finished += _finish(workspace_id)
    return finished


@contextmanager
def _batch(query: "sa.Select[uuid.UUID]", of: type[object]) -> Iterator[tuple[Session, Sequence[uuid.UUID]]]:
    """A transaction that has locked some rows; those that another process holds are its business."""
    with write_transaction() as session:
        yield session, session.scalars(query.limit(BATCH).with_for_update(of=of, skip_locked=True)).all()


def _clear_messages(workspace_id: uuid.UUID) -> int:
    endpoints = sa.select(WebhookEndpoint.id).where(WebhookEndpoint.workspace_id == workspace_id)
    query = sa.select(WebhookDelivery.id).where(WebhookDelivery.endpoint_id.in_(endpoints))
    with _batch(query.order_by(WebhookDelivery.id), WebhookDelivery) as (session, ids):
        session.execute(sa.delete(WebhookDelivery).where(WebhookDelivery.id.in_(ids)))
        return len(ids)


def _clear_jobs(workspace_id: uuid.UUID) -> int:
    query = sa.select(JobRun.id).where(JobRun.workspace_id == workspace_id).order_by(JobRun.id)
    with _batch(query, JobRun) as (session, ids):
        delete_jobs(session, ids)
        return len(ids)


def _clear_audit_log(workspace_id: uuid.UUID) -> int:
    query = sa.select(AuditEntry.id).where(AuditEntry.workspace_id == workspace_id).order_by(AuditEntry.id)
    with _batch(query, AuditEntry) as (session, ids):
        session.execute(sa.delete(AuditEntry).where(AuditEntry.id.in_(ids)))
        return len(ids)


def _finish(workspace_id: uuid.UUID) -> int:
    """Delete the workspace itself, unless a job is in it still, which another process may hold: then the next time."""
    with write_transaction() as session:
        empty = ~sa.exists().where(JobRun.workspace_id == workspace_id)
        ended = sa.delete(Workspace).where(Workspace.id == workspace_id, empty).returning(Workspace.id)
        return len(session.scalars(ended.execution_options(synchronize_session=False)).all())
