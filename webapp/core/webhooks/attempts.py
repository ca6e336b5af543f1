"""Claims messages that are due, and records what became of each attempt to send them.

Any number of processes may do so: a conditional UPDATE gives each attempt to one. A process that dies after it has
claimed a message loses the claim after a while, and the message is sent again.
"""

import random
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.database.transactions import read_connection, write_connection, write_transaction
from webapp.core.models import WebhookAttempt, webhook_deliveries, webhook_endpoints
from webapp.core.webhooks import endpoints, outbox
from webapp.core.webhooks.outbound import Answer
from webapp.core.webhooks.places import ReadyEndpoint

BACKOFF = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(hours=8),
)
"""The rest after each failed attempt; after one more the message is given up, about a day after the first."""
JITTER = 0.1
"""The part of a rest by which it may be longer or shorter, so that what failed together does not come together."""
GIVE_UP_AFTER = timedelta(days=3)
"""How long nothing must have been delivered before an endpoint is disabled, at the next message that is given up."""
CLAIM = timedelta(seconds=30)
"""How long an attempt may take before another process believes the first one dead: three times that of a POST."""
STATUS_GONE = 410

_delivery, _endpoint = webhook_deliveries.c, webhook_endpoints.c


@dataclass(frozen=True)
class Claim:
    """One attempt that is ours to make: the ``number``-th of this message."""

    id: uuid.UUID
    endpoint: ReadyEndpoint
    number: int
    body: str
    at: datetime


@dataclass(frozen=True)
class Outcome:
    """An attempt that was made, and what it was answered."""

    claim: Claim
    answer: Answer

    @property
    def was_last(self) -> bool:
        """Whether no attempt follows this one if it failed."""
        return self.answer.status == STATUS_GONE or self.claim.number > len(BACKOFF)

    @property
    def label(self) -> str:
        """How the attempt is counted."""
        if self.answer.is_delivered:
            return "delivered"
        return "given_up" if self.was_last else "failed"


# --- claim -------------------------------------------------------------------------------------------------------


def list_ready() -> Sequence[ReadyEndpoint]:
    """Return the endpoints that have messages which are due."""
    # One look into an index for each endpoint, however long the queue of any of them is.
    first = sa.select(sa.func.min(_delivery.due_at)).where(
        _delivery.endpoint_id == _endpoint.id, _delivery.due_at.is_not(None)
    )
    secrets = (_endpoint.secret, _endpoint.previous_secret, _endpoint.previous_until)
    columns = (_endpoint.id, _endpoint.workspace_id, _endpoint.url, *secrets, _endpoint.failing_since)
    enabled = sa.select(*columns, first.scalar_subquery().label("due_at")).where(*outbox.is_sent_to())
    due = enabled.subquery()
    now = clock.now()
    with read_connection() as connection:
        rows = connection.execute(sa.select(due).where(due.c.due_at <= now)).all()
    return [
        ReadyEndpoint(
            row.id, row.workspace_id, row.url, _list_secrets(row, now), row.failing_since is not None, row.due_at
        )
        for row in rows
    ]


def _list_secrets(row: sa.Row[Any], now: datetime) -> tuple[str, ...]:
    """Return the secrets that sign a message now; one that cannot be read with the key of this board is left out."""
    former = row.previous_secret if row.previous_until is not None and now < row.previous_until else None
    return tuple(secret for secret in (row.secret, former) if secret is not None)


def claim(endpoint: ReadyEndpoint, limit: int) -> Sequence[Claim]:
    """Claim up to ``limit`` attempts of an endpoint, the longest due first, so that no other process makes them."""
    now = clock.now()
    longest_due = (
        sa.select(_delivery.id)
        .where(_delivery.endpoint_id == endpoint.id, _delivery.due_at <= now)
        .order_by(_delivery.due_at, _delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("longest_due")
    )
    statement = (
        sa.update(webhook_deliveries)
        .where(_delivery.id.in_(sa.select(longest_due.c.id)), _delivery.due_at <= now)
        .values(due_at=now + CLAIM, attempts=_delivery.attempts + 1)
        .returning(_delivery.id, _delivery.attempts, _delivery.body)
    )
    with write_connection() as connection:
        rows = connection.execute(statement).all()
    claims = [Claim(row.id, endpoint, row.attempts, row.body, now) for row in rows]
    return sorted(claims, key=lambda claim: claim.id)


# --- record ------------------------------------------------------------------------------------------------------


def record(outcomes: Sequence[Outcome]) -> None:
    """Keep what came of attempts, and decide what follows from it, in one transaction."""
    now = clock.now()
    with write_transaction() as session:
        # Locked, so that whoever changes or deletes them at this moment is before us or after us.
        failing_since = _lock_endpoints(session, {outcome.claim.endpoint.id for outcome in outcomes})
        attempts = _lock_deliveries(session, [outcome.claim.id for outcome in outcomes])
        kept = [outcome for outcome in outcomes if outcome.claim.id in attempts]
        if not kept:
            return
        session.execute(sa.insert(WebhookAttempt), [_attempt_row(outcome) for outcome in kept])
        # Unless somebody had it sent again meanwhile; then that is what counts.
        _settle(session, [outcome for outcome in kept if attempts[outcome.claim.id] == outcome.claim.number], now)
        for endpoint_id in {outcome.claim.endpoint.id for outcome in kept}:
            of_endpoint = [outcome for outcome in kept if outcome.claim.endpoint.id == endpoint_id]
            _update_endpoint(session, of_endpoint, failing_since[endpoint_id], now)


def _lock_endpoints(session: Session, endpoint_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, datetime | None]:
    """Lock endpoints in the order of their ids, and return since when each has been failing."""
    query = sa.select(_endpoint.id, _endpoint.failing_since).where(_endpoint.id.in_(endpoint_ids))
    rows = session.execute(query.order_by(_endpoint.id).with_for_update(key_share=True))
    return {row.id: row.failing_since for row in rows}


def _lock_deliveries(session: Session, delivery_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Lock those of these messages that are still there, and return how many attempts each has had."""
    query = sa.select(_delivery.id, _delivery.attempts).where(_delivery.id.in_(delivery_ids))
    rows = session.execute(query.order_by(_delivery.id).with_for_update(key_share=True))
    return {row.id: row.attempts for row in rows}


def _attempt_row(outcome: Outcome) -> dict[str, Any]:
    claim, answer = outcome.claim, outcome.answer
    return {
        "delivery_id": claim.id,
        "at": claim.at,
        "status": answer.status,
        "answer": answer.text,
        "error": answer.error,
        "duration": answer.duration,
    }


def _settle(session: Session, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Write of each message when it is tried next, or that it was delivered, or neither."""
    if not outcomes:
        return
    statement = (
        sa.update(webhook_deliveries)
        .where(_delivery.id == sa.bindparam("delivery_id"))
        .values(due_at=sa.bindparam("next_due_at"), delivered_at=sa.bindparam("now"))
    )
    rows = [
        {
            "delivery_id": outcome.claim.id,
            "next_due_at": _next_attempt(outcome.claim.number, now) if outcome.label == "failed" else None,
            "now": now if outcome.answer.is_delivered else None,
        }
        for outcome in outcomes
    ]
    session.connection().execute(statement, rows)


def _next_attempt(number: int, now: datetime) -> datetime:
    """Return when to try again after the ``number``-th attempt, which was not the last."""
    return now + BACKOFF[number - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311


def _update_endpoint(session: Session, outcomes: Sequence[Outcome], since: datetime | None, now: datetime) -> None:
    """Write since when an endpoint has been failing, after these attempts in their order, or disable it."""
    endpoint_id, before, reason = outcomes[0].claim.endpoint.id, since, None
    for outcome in outcomes:
        since = None if outcome.answer.is_delivered else since or now
        if outcome.answer.status == STATUS_GONE:
            reason = "It answered 410: gone for good."
        elif since is not None and outcome.was_last and now - since >= GIVE_UP_AFTER:
            reason = f"Nothing was delivered since {since:%d %b %Y %H:%M} UTC."
    if since != before:
        session.execute(sa.update(webhook_endpoints).where(_endpoint.id == endpoint_id).values(failing_since=since))
    if reason:
        endpoints.disable(session, endpoint_id, reason, at=now)
