"""Writes the messages that endpoints are to be sent, in the transaction that changes the job.

A message is put down once for each endpoint and sent until it is answered well, so an endpoint may get it more than
once, and not always in the order of events; its id is the same each time. ``sender`` sends.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.clock import to_iso
from webapp.core.database.transactions import write_transaction
from webapp.core.job_json import job_json
from webapp.core.json_text import compact_json
from webapp.core.lifecycle import EventKind, FailureReason, HistoryEvent, JobStatus
from webapp.core.models import JobSnapshot, WebhookEvent, new_id, webhook_deliveries, webhook_endpoints

KEEP = timedelta(days=30)
"""For how long it is known what was sent and what came back."""
DELETE_PAGE_SIZE = 500

_FINAL_EVENTS = {
    JobStatus.COMPLETED: WebhookEvent.COMPLETED,
    JobStatus.FAILED: WebhookEvent.FAILED,
    JobStatus.CANCELED: WebhookEvent.CANCELED,
}


def may_notify(event: HistoryEvent) -> bool:
    """Return whether events of this kind are ever sent to endpoints."""
    return event.kind is EventKind.MOVED and event.to_status in _FINAL_EVENTS


def has_no_endpoint(workspace_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return in SQL whether a workspace has no endpoint to which messages are sent."""
    enabled = webhook_endpoints.c.workspace_id == workspace_id, webhook_endpoints.c.disabled_at.is_(None)
    return ~sa.exists().where(*enabled)


def _to_webhook_event(job: JobSnapshot, event: HistoryEvent) -> WebhookEvent | None:
    if event.kind is not EventKind.MOVED or event.to_status is None:
        return None
    if event.to_status is JobStatus.FAILED and job.failure_reason is FailureReason.LOST:
        return WebhookEvent.LOST
    return _FINAL_EVENTS.get(event.to_status)


def _lock_endpoints(session: Session, workspace_ids: set[uuid.UUID]) -> Sequence[Any]:
    if not workspace_ids:
        return ()
    endpoint = webhook_endpoints.c
    query = sa.select(endpoint.id, endpoint.workspace_id, endpoint.events)
    query = query.where(endpoint.workspace_id.in_(workspace_ids), endpoint.disabled_at.is_(None))
    # An endpoint that is deleted at this moment must not take the job's change down with it.
    return session.execute(query.with_for_update(read=True, key_share=True)).all()


def enqueue_deliveries(session: Session, events: Sequence[tuple[JobSnapshot, HistoryEvent]]) -> None:
    """Put down what endpoints want to be sent of these events, in the transaction that writes them.

    Moves that are not final cost nothing; final ones, where a workspace has no endpoint, one narrow read.
    """
    ends = [(job, event, kind) for job, event in events if (kind := _to_webhook_event(job, event))]
    endpoints = _lock_endpoints(session, {job.workspace_id for job, _, _ in ends if job.workspace_id})
    now = clock.now()
    rows = []
    for job, event, kind in ends:
        receivers = [one for one in endpoints if one.workspace_id == job.workspace_id and kind in one.events]
        if receivers:
            body = message_body(kind, event.at, job_json(job, without=("payload",)))
            rows += [delivery_row(endpoint.id, kind, body, now, job_id=job.id) for endpoint in receivers]
    if rows:
        session.execute(sa.insert(webhook_deliveries), rows)


def message_body(event: str, at: datetime, data: dict[str, Any]) -> str:
    """Write the JSON text of a message."""
    return compact_json({"type": event, "timestamp": to_iso(at), "data": data})


def delivery_row(
    endpoint_id: uuid.UUID, event: str, body: str, at: datetime, job_id: uuid.UUID | None = None
) -> dict[str, Any]:
    """Return the row of a message that is due at once."""
    return {
        "id": new_id(at),
        "endpoint_id": endpoint_id,
        "event": event,
        "job_id": job_id,
        "body": body,
        "created_at": at,
        "attempts": 0,
        "due_at": at,
        "delivered_at": None,
    }


def delete_old() -> int:
    """Delete some messages of more than ``KEEP`` ago that are not due; returns how many, up to ``DELETE_PAGE_SIZE``."""
    delivery = webhook_deliveries.c
    # Ids sort by creation, so the oldest stand at the beginning of the table's own index.
    old = sa.select(delivery.id).where(delivery.id < new_id(clock.now() - KEEP), delivery.due_at.is_(None))
    oldest = delivery.id.in_(old.order_by(delivery.id).limit(DELETE_PAGE_SIZE))
    with write_transaction() as session:
        deleted = session.execute(sa.delete(webhook_deliveries).where(oldest).returning(delivery.id))
        return len(deleted.all())
