"""The outbox: what endpoints are to be told of, written in the transaction of what it tells, and how that went.

A message is put down once for each endpoint and sent until it is answered well, so an endpoint may hear it more than
once, and not always in the order of events; its id is the same each time. ``sending`` sends.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import NotFound, Refused
from webapp.core.job_json import job_json, moment
from webapp.core.jobs.decisions import News
from webapp.core.json_text import compact_json
from webapp.core.lifecycle import EventKind, FailureReason, JobStatus
from webapp.core.models import (
    Base,
    JobRow,
    Membership,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
    new_id,
)
from webapp.core.webhooks import endpoints
from webapp.core.workspaces.workspaces import require_manager

PING = "ping"
"""The event of a message that somebody sends to see whether it arrives; no endpoint can leave it out."""
PAGE = 50
KEEP = timedelta(days=30)
"""For how long it is known what was sent and what came back."""
SWEEP_PAGE = 500

_DELIVERIES = Base.metadata.tables[WebhookDelivery.__tablename__]
_ENDPOINTS = Base.metadata.tables[WebhookEndpoint.__tablename__]
_delivery, _endpoint = _DELIVERIES.c, _ENDPOINTS.c
_FINAL_EVENTS = {
    JobStatus.COMPLETED: WebhookEvent.COMPLETED,
    JobStatus.FAILED: WebhookEvent.FAILED,
    JobStatus.CANCELED: WebhookEvent.CANCELED,
}


# --- putting down ------------------------------------------------------------------------------------------------


def announce(session: Session, told: Sequence[tuple[JobRow, News]]) -> None:
    """Put down what endpoints want to hear of these lines of history, in the transaction that writes them.

    Moves that are not final cost nothing; final ones, where a workspace has no endpoint, one narrow read.
    """
    ends = [(job, news, event) for job, news in told if (event := _event_of(job, news))]
    listening = _listening(session, {job.workspace_id for job, _, _ in ends if job.workspace_id})
    now = clock.now()
    rows = [
        _row(endpoint.id, event, body, now, job_id=job.id)
        for job, news, event in ends
        if (wanting := [one for one in listening if one.workspace_id == job.workspace_id and event in one.events])
        for body in [_body(event, news.at, job_json(job, without=("payload",)))]
        for endpoint in wanting
    ]
    if rows:
        session.execute(sa.insert(_DELIVERIES), rows)


def may_concern(news: News) -> bool:
    """Whether some endpoint may want to hear of this line of history."""
    return news.kind is EventKind.MOVED and news.to in _FINAL_EVENTS


def nobody_listens(workspace_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether a workspace has no endpoint that is told of jobs."""
    return ~sa.exists().where(_endpoint.workspace_id == workspace_id, _endpoint.disabled_at.is_(None))


def _event_of(job: JobRow, news: News) -> WebhookEvent | None:
    if news.kind is not EventKind.MOVED or news.to is None:
        return None
    if news.to is JobStatus.FAILED and job.failure_reason is FailureReason.LOST:
        return WebhookEvent.LOST
    return _FINAL_EVENTS.get(news.to)


def _listening(session: Session, workspace_ids: set[uuid.UUID]) -> Sequence[Any]:
    if not workspace_ids:
        return ()
    query = sa.select(_endpoint.id, _endpoint.workspace_id, _endpoint.events)
    query = query.where(_endpoint.workspace_id.in_(workspace_ids), _endpoint.disabled_at.is_(None))
    # An endpoint that is deleted at this moment must not take the job's change down with it.
    return session.execute(query.with_for_update(read=True, key_share=True)).all()


def _body(event: str, at: datetime, data: dict[str, Any]) -> str:
    return compact_json({"type": event, "timestamp": moment(at), "data": data})


def _row(
    endpoint_id: uuid.UUID, event: str, body: str, at: datetime, job_id: uuid.UUID | None = None
) -> dict[str, Any]:
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


# --- asking ------------------------------------------------------------------------------------------------------

_LIGHT = (defer(WebhookDelivery.body, raiseload=True),)
"""Bodies may be large, and no list shows them."""


@dataclass(frozen=True)
class Told:
    """A delivery with its attempts, oldest first."""

    delivery: WebhookDelivery
    attempts: Sequence[WebhookAttempt]


def latest(
    endpoint_id: uuid.UUID, *, failed: bool = False, before: uuid.UUID | None = None
) -> tuple[Sequence[Told], uuid.UUID | None]:
    """One page of an endpoint's deliveries, newest first, and where the next page begins, if there is one."""
    query = sa.select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id)
    if failed:
        query = query.where(_has_failed())
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    found = db.session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(PAGE + 1).options(*_LIGHT)).all()
    page = found[:PAGE]
    return _with_attempts(page), page[-1].id if len(found) > PAGE else None


def last_of(endpoints: Sequence[WebhookEndpoint]) -> dict[uuid.UUID, Told]:
    """The newest delivery of each endpoint that has one."""
    newest = (
        sa.select(_delivery.id)
        .where(_delivery.endpoint_id == _endpoint.id)
        .order_by(_delivery.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    ids = sa.select(newest).select_from(_ENDPOINTS).where(_endpoint.id.in_([endpoint.id for endpoint in endpoints]))
    query = sa.select(WebhookDelivery).where(WebhookDelivery.id.in_(ids)).options(*_LIGHT)
    return {told.delivery.endpoint_id: told for told in _with_attempts(db.session.scalars(query).all())}


def body_of(endpoint_id: uuid.UUID, delivery_id: uuid.UUID) -> str:
    """The text that an endpoint is sent. Raises ``NotFound``."""
    this = sa.and_(_delivery.endpoint_id == endpoint_id, _delivery.id == delivery_id)
    body = db.session.scalar(sa.select(_delivery.body).where(this))
    if body is None:
        raise NotFound("There is no such message.")
    return str(body)


def _with_attempts(page: Sequence[WebhookDelivery]) -> list[Told]:
    made: dict[uuid.UUID, list[WebhookAttempt]] = {delivery.id: [] for delivery in page}
    query = sa.select(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(made)).order_by(WebhookAttempt.id)
    for attempt in db.session.scalars(query):
        made[attempt.delivery_id].append(attempt)
    return [Told(delivery, made[delivery.id]) for delivery in page]


def _has_failed() -> sa.ColumnElement[bool]:
    """What ``WebhookDelivery.state`` calls failed."""
    return sa.and_(WebhookDelivery.due_at.is_(None), WebhookDelivery.delivered_at.is_(None))


# --- again -------------------------------------------------------------------------------------------------------


def redeliver(member: Membership, endpoint_id: uuid.UUID, delivery_id: uuid.UUID, *, by: Actor) -> None:
    """Send one message again, whatever became of it; one that waits is sent now.

    Raises ``Forbidden``, ``NotFound``, and ``Refused`` (``webhook_disabled``).
    """
    if not _again(member, endpoint_id, WebhookDelivery.id == delivery_id, by, {"delivery": str(delivery_id)}):
        raise NotFound("There is no such message.")


def redeliver_failed(member: Membership, endpoint_id: uuid.UUID, since: datetime, *, by: Actor) -> int:
    """Send again every message put down ``since`` that failed; how many those are. Raises as ``redeliver`` does."""
    failed = sa.and_(_has_failed(), WebhookDelivery.created_at >= since)
    return _again(member, endpoint_id, failed, by, {"since": moment(since)})


def _again(
    member: Membership, endpoint_id: uuid.UUID, which: sa.ColumnElement[bool], by: Actor, detail: dict[str, Any]
) -> int:
    require_manager(member)
    statement = sa.update(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id, which)
    # The schedule of attempts begins from the start: somebody has mended what was wrong.
    statement = statement.values(due_at=clock.now(), attempts=0, delivered_at=None)
    with write_transaction() as session:
        _require_enabled(endpoints.locked(session, endpoint_id, member.workspace_id))
        updated = session.execute(
            statement.returning(WebhookDelivery.id), execution_options={"synchronize_session": False}
        )
        count = len(updated.all())
        if count:
            _record(session, member, "redelivered", endpoint_id, by, detail | {"count": count})
    return count


def ping(member: Membership, endpoint_id: uuid.UUID, *, by: Actor) -> None:
    """Put down a message that tells of no job. Raises as ``redeliver`` does."""
    require_manager(member)
    now = clock.now()
    data = {"webhook_id": str(endpoint_id), "workspace_id": str(member.workspace_id), "sent_by": by.ref}
    with write_transaction() as session:
        _require_enabled(endpoints.locked(session, endpoint_id, member.workspace_id))
        session.execute(sa.insert(_DELIVERIES), [_row(endpoint_id, PING, _body(PING, now, data), now)])
        _record(session, member, "pinged", endpoint_id, by)


def _record(
    session: Session,
    member: Membership,
    verb: str,
    endpoint_id: uuid.UUID,
    by: Actor,
    detail: dict[str, Any] | None = None,
) -> None:
    resource = f"webhook:{endpoint_id}"
    audit.record(session, f"webhook.{verb}", resource, by=by, workspace_id=member.workspace_id, detail=detail)


def _require_enabled(endpoint: WebhookEndpoint) -> None:
    if endpoint.disabled_at is not None:
        raise Refused("webhook_disabled", "This webhook is disabled; enable it first.")


# --- forgetting --------------------------------------------------------------------------------------------------


def sweep_page() -> int:
    """Forget some messages of more than ``KEEP`` ago that nobody waits for; how many those were, up to a page."""
    # Ids sort by creation, so the oldest stand at the beginning of the table's own index.
    old = sa.select(_delivery.id).where(_delivery.id < new_id(clock.now() - KEEP), _delivery.due_at.is_(None))
    with write_transaction() as session:
        gone = session.execute(
            sa.delete(_DELIVERIES)
            .where(_delivery.id.in_(old.order_by(_delivery.id).limit(SWEEP_PAGE)))
            .returning(_delivery.id)
        )
        return len(gone.all())
