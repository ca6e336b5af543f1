"""Shows what was sent to endpoints and what came back, and has it sent again."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.clock import to_iso
from webapp.core.database.paging import split_page
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, NotFound
from webapp.core.models import (
    Membership,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    webhook_deliveries,
    webhook_endpoints,
)
from webapp.core.webhooks import endpoints, outbox
from webapp.core.workspaces.workspaces import require_manager

PING = "ping"
"""The event of a message that somebody sends to see whether it arrives; no endpoint can leave it out."""
PAGE_SIZE = 50

_WITHOUT_BODY = defer(WebhookDelivery.body, raiseload=True)
"""Bodies may be large, and no list shows them."""


@dataclass(frozen=True)
class DeliveryWithAttempts:
    """A delivery with its attempts, oldest first."""

    delivery: WebhookDelivery
    attempts: Sequence[WebhookAttempt]


def list_deliveries(
    endpoint_id: uuid.UUID, *, failed: bool = False, before: uuid.UUID | None = None
) -> tuple[Sequence[DeliveryWithAttempts], uuid.UUID | None]:
    """Return one page of an endpoint's deliveries, newest first, and where the next page begins, if there is one."""
    query = sa.select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id)
    if failed:
        query = query.where(_has_failed())
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    query = query.order_by(WebhookDelivery.id.desc()).limit(PAGE_SIZE + 1).options(_WITHOUT_BODY)
    page, has_more = split_page(db.session.scalars(query).all(), PAGE_SIZE)
    return _with_attempts(page), page[-1].id if has_more else None


def newest_by_endpoint(endpoints: Sequence[WebhookEndpoint]) -> dict[uuid.UUID, DeliveryWithAttempts]:
    """Return the newest delivery of each endpoint that has one, by the endpoint's id."""
    delivery, endpoint = webhook_deliveries.c, webhook_endpoints.c
    newest = (
        sa.select(delivery.id)
        .where(delivery.endpoint_id == endpoint.id)
        .order_by(delivery.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    ids = sa.select(newest).select_from(webhook_endpoints).where(endpoint.id.in_([one.id for one in endpoints]))
    query = sa.select(WebhookDelivery).where(WebhookDelivery.id.in_(ids)).options(_WITHOUT_BODY)
    return {one.delivery.endpoint_id: one for one in _with_attempts(db.session.scalars(query).all())}


def get_body(endpoint_id: uuid.UUID, delivery_id: uuid.UUID) -> str:
    """Return the text that an endpoint is sent. Raises ``NotFound``."""
    delivery = webhook_deliveries.c
    is_delivery = sa.and_(delivery.endpoint_id == endpoint_id, delivery.id == delivery_id)
    body = db.session.scalar(sa.select(delivery.body).where(is_delivery))
    if body is None:
        raise NotFound("There is no such message.")
    return str(body)


def _with_attempts(page: Sequence[WebhookDelivery]) -> list[DeliveryWithAttempts]:
    attempts: dict[uuid.UUID, list[WebhookAttempt]] = {delivery.id: [] for delivery in page}
    query = sa.select(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(attempts)).order_by(WebhookAttempt.id)
    for attempt in db.session.scalars(query):
        attempts[attempt.delivery_id].append(attempt)
    return [DeliveryWithAttempts(delivery, attempts[delivery.id]) for delivery in page]


def _has_failed() -> sa.ColumnElement[bool]:
    """Return in SQL what ``WebhookDelivery.state`` calls failed."""
    return sa.and_(WebhookDelivery.due_at.is_(None), WebhookDelivery.delivered_at.is_(None))


# --- send again --------------------------------------------------------------------------------------------------


def redeliver(member: Membership, endpoint_id: uuid.UUID, delivery_id: uuid.UUID, *, by: Actor) -> None:
    """Send one message again, whatever became of it; one that waits is sent now.

    Raises ``Forbidden``, ``NotFound``, and ``Conflict`` (``webhook_disabled``).
    """
    if not _make_due(member, endpoint_id, WebhookDelivery.id == delivery_id, by, {"delivery": str(delivery_id)}):
        raise NotFound("There is no such message.")


def redeliver_failed(member: Membership, endpoint_id: uuid.UUID, since: datetime, *, by: Actor) -> int:
    """Send again every message put down ``since`` then that failed. Returns how many. Raises as ``redeliver`` does."""
    failed = sa.and_(_has_failed(), WebhookDelivery.created_at >= since)
    return _make_due(member, endpoint_id, failed, by, {"since": to_iso(since)})


def _make_due(
    member: Membership, endpoint_id: uuid.UUID, condition: sa.ColumnElement[bool], by: Actor, detail: dict[str, Any]
) -> int:
    require_manager(member)
    statement = sa.update(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id, condition)
    # The schedule of attempts begins from the start: somebody has fixed what was wrong.
    statement = statement.values(due_at=clock.now(), attempts=0, delivered_at=None)
    with write_transaction() as session:
        _require_enabled(endpoints.lock(session, member.workspace_id, endpoint_id))
        updated = session.execute(
            statement.returning(WebhookDelivery.id), execution_options={"synchronize_session": False}
        )
        count = len(updated.all())
        if count:
            _record(session, member, "redelivered", endpoint_id, by, detail | {"count": count})
    return count


def ping(member: Membership, endpoint_id: uuid.UUID, *, by: Actor) -> None:
    """Put down a message about no job, to see whether it arrives. Raises as ``redeliver`` does."""
    require_manager(member)
    now = clock.now()
    data = {"webhook_id": str(endpoint_id), "workspace_id": str(member.workspace_id), "sent_by": by.ref}
    with write_transaction() as session:
        _require_enabled(endpoints.lock(session, member.workspace_id, endpoint_id))
        row = outbox.delivery_row(endpoint_id, PING, outbox.message_body(PING, now, data), now)
        session.execute(sa.insert(webhook_deliveries), [row])
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
        raise Conflict("webhook_disabled", "This webhook is disabled; enable it first.")
