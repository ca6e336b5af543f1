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
from webapp.core.models import (
    JobSnapshot,
    WebhookEndpoint,
    WebhookEvent,
    job_events,
    new_id,
    webhook_deliveries,
    webhook_endpoints,
)
from webapp.core.workspaces.sponsors import has_live_sponsor

KEEP = timedelta(days=30)
"""For how long it is known what was sent and what came back."""
DELETE_PAGE_SIZE = 500
LOST_AGAIN_AFTER = timedelta(minutes=10)
"""How long a job must stay lost that ran on after it had been lost, before endpoints hear of that again."""
LOST_BEFORE_WITHIN = timedelta(hours=1)
"""For how long it counts that a job ran on after it had been lost."""
_EVENTS_LOOKED_AT = 20

_FINAL_EVENTS = {
    JobStatus.COMPLETED: WebhookEvent.COMPLETED,
    JobStatus.FAILED: WebhookEvent.FAILED,
    JobStatus.CANCELED: WebhookEvent.CANCELED,
}


def may_notify(event: HistoryEvent) -> bool:
    """Return whether an event of this kind changes what endpoints are sent."""
    return event.kind is EventKind.MOVED and (event.to_status in _FINAL_EVENTS or _is_revival(event))


def _is_revival(event: HistoryEvent) -> bool:
    """Return whether a lost job runs on: nothing else leaves failed."""
    return event.kind is EventKind.MOVED and event.from_status is JobStatus.FAILED


def has_no_endpoint(workspace_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return in SQL whether a workspace has no endpoint to which messages are sent."""
    return ~sa.exists().where(webhook_endpoints.c.workspace_id == workspace_id, *is_sent_to())


def is_sent_to() -> tuple[sa.ColumnElement[bool], ...]:
    """Return in SQL whether messages are sent to an endpoint: it is enabled, and its sponsor may have them sent."""
    return webhook_endpoints.c.disabled_at.is_(None), has_live_sponsor(WebhookEndpoint)


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
    query = query.where(endpoint.workspace_id.in_(workspace_ids), *is_sent_to())
    # An endpoint that is deleted at this moment must not take the job's change down with it.
    return session.execute(query.with_for_update(read=True, key_share=True)).all()


def enqueue_deliveries(session: Session, events: Sequence[tuple[JobSnapshot, HistoryEvent]]) -> None:
    """Put down what endpoints want to be sent of these events, in the transaction that writes them.

    Moves that are not final cost nothing; final ones, where a workspace has no endpoint, one narrow read. That a job is
    lost again which ran on a while ago waits for ``LOST_AGAIN_AFTER``, and is not sent if it runs on before: a runner
    that reports too seldom would have a message sent each time.
    """
    _drop_held_back(session, [job.id for job, event in events if _is_revival(event)])
    ends = [(job, event, kind) for job, event in events if (kind := _to_webhook_event(job, event))]
    endpoints = _lock_endpoints(session, {job.workspace_id for job, _, _ in ends if job.workspace_id})
    now = clock.now()
    rows = []
    for job, event, kind in ends:
        receivers = [one for one in endpoints if one.workspace_id == job.workspace_id and kind in one.events]
        if receivers:
            body = message_body(kind, event.at, job_json(job, without=("payload",)))
            is_held_back = kind is WebhookEvent.LOST and _ran_on_lately(session, job.id, event.at)
            due_at = now + LOST_AGAIN_AFTER if is_held_back else now
            rows += [delivery_row(endpoint.id, kind, body, now, job_id=job.id, due_at=due_at) for endpoint in receivers]
    if rows:
        session.execute(sa.insert(webhook_deliveries), rows)


def _ran_on_lately(session: Session, job_id: uuid.UUID, at: datetime) -> bool:
    """Return whether a job ran on after it had been lost, in the hour before ``at``."""
    newest = sa.select(job_events).where(job_events.c.job_id == job_id).order_by(job_events.c.id.desc())
    events = newest.limit(_EVENTS_LOOKED_AT).subquery().c
    revivals = sa.select(events.id).where(
        events.kind == EventKind.MOVED, events.from_status == JobStatus.FAILED, events.at > at - LOST_BEFORE_WITHIN
    )
    return session.execute(revivals.limit(1)).first() is not None


def _drop_held_back(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """Delete the messages that these jobs are lost, as far as they are held back: the jobs run on."""
    if job_ids:
        delivery = webhook_deliveries.c
        is_lost = delivery.job_id.in_(job_ids), delivery.event == WebhookEvent.LOST
        held_back = *is_lost, delivery.attempts == 0, delivery.due_at > clock.now()
        session.execute(sa.delete(webhook_deliveries).where(*held_back))


def message_body(event: str, at: datetime, data: dict[str, Any]) -> str:
    """Write the JSON text of a message."""
    return compact_json({"type": event, "timestamp": to_iso(at), "data": data})


def delivery_row(
    endpoint_id: uuid.UUID,
    event: str,
    body: str,
    at: datetime,
    job_id: uuid.UUID | None = None,
    due_at: datetime | None = None,
) -> dict[str, Any]:
    """Return the row of a message that is due at once, or at ``due_at``."""
    return {
        "id": new_id(at),
        "endpoint_id": endpoint_id,
        "event": event,
        "job_id": job_id,
        "body": body,
        "created_at": at,
        "attempts": 0,
        "due_at": due_at or at,
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
