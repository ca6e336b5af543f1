"""Deletes what is left in deleted workspaces, batch by batch."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core.chores.retention import BATCH_SIZE
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs import store
from webapp.core.models import AuditEntry, JobRun, WebhookDelivery, WebhookEndpoint, Workspace


def sweep(go_on: Callable[[], bool] = lambda: True) -> int:
    """Delete what deleted workspaces have left. Returns how many are gone altogether.

    ``go_on`` is asked after each batch; where it says no, the rest is left for the next sweep.
    """
    finished = 0
    for workspace_id in db.session.scalars(sa.select(Workspace.id).where(Workspace.deleted_at.is_not(None))).all():
        for delete_batch in (_delete_deliveries, _delete_jobs, _delete_audit_log):
            while delete_batch(workspace_id):
                if not go_on():
                    return finished
        finished += _delete_workspace(workspace_id)
    return finished


@contextmanager
def _lock_batch(query: "sa.Select[uuid.UUID]", of: type[object]) -> Iterator[tuple[Session, Sequence[uuid.UUID]]]:
    """Open a transaction that has locked some rows; those that another process holds are its business."""
    with write_transaction() as session:
        yield session, session.scalars(query.limit(BATCH_SIZE).with_for_update(of=of, skip_locked=True)).all()


def _delete_deliveries(workspace_id: uuid.UUID) -> int:
    endpoints = sa.select(WebhookEndpoint.id).where(WebhookEndpoint.workspace_id == workspace_id)
    query = sa.select(WebhookDelivery.id).where(WebhookDelivery.endpoint_id.in_(endpoints))
    with _lock_batch(query.order_by(WebhookDelivery.id), WebhookDelivery) as (session, ids):
        session.execute(sa.delete(WebhookDelivery).where(WebhookDelivery.id.in_(ids)))
        return len(ids)


def _delete_jobs(workspace_id: uuid.UUID) -> int:
    query = sa.select(JobRun.id).where(JobRun.workspace_id == workspace_id).order_by(JobRun.id)
    with _lock_batch(query, JobRun) as (session, ids):
        store.delete_jobs(session, ids)
        return len(ids)


def _delete_audit_log(workspace_id: uuid.UUID) -> int:
    query = sa.select(AuditEntry.id).where(AuditEntry.workspace_id == workspace_id).order_by(AuditEntry.id)
    with _lock_batch(query, AuditEntry) as (session, ids):
        session.execute(sa.delete(AuditEntry).where(AuditEntry.id.in_(ids)))
        return len(ids)


def _delete_workspace(workspace_id: uuid.UUID) -> int:
    """Delete the workspace itself, unless a job is in it still, which another process may hold: then the next time."""
    with write_transaction() as session:
        empty = ~sa.exists().where(JobRun.workspace_id == workspace_id)
        ended = sa.delete(Workspace).where(Workspace.id == workspace_id, empty).returning(Workspace.id)
        return len(session.scalars(ended.execution_options(synchronize_session=False)).all())
