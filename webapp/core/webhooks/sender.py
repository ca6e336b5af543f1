"""Sends what the outbox holds. Any number of processes may do so: a conditional UPDATE gives each attempt to one.

A message is claimed, posted and then recorded; a process that dies in between loses its claim after a while, and the
message is sent again. Database work is done by the thread that calls ``send_due``; only the POSTs run beside it.
"""

import base64
import hashlib
import hmac
import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock, metrics
from webapp.core.database.transactions import read_connection, write_connection, write_transaction
from webapp.core.models import WebhookAttempt, webhook_deliveries, webhook_endpoints
from webapp.core.webhooks import endpoints
from webapp.core.webhooks.outbound import Answer, Outbound

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
CLAIM = timedelta(minutes=2)
"""How long an attempt may take before another process believes the first one dead."""
MAX_POSTS = 16
MAX_PER_ENDPOINT = 4
"""POSTs under way in one process: for all endpoints, and for one that answers well; a failing one gets one."""
CLAIM_EVERY = 1.0
"""Seconds after which due messages are claimed, though all that is under way still waits for an answer."""
STATUS_GONE = 410

_delivery, _endpoint = webhook_deliveries.c, webhook_endpoints.c


def sign(secret: str, message_id: str, at: datetime, body: str) -> str:
    """Return the ``webhook-signature`` of Standard Webhooks: ``v1,`` and an HMAC-SHA256 in base64.

    ``secret`` is whsec_….
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{int(at.timestamp())}.{body}".encode()
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


@dataclass(frozen=True)
class SendResult:
    """How many attempts were made, and how many of them were answered well."""

    attempts: int
    delivered: int


@dataclass(frozen=True)
class _Claim:
    """One attempt that is ours to make: the ``number``-th of this message."""

    id: uuid.UUID
    endpoint_id: uuid.UUID
    number: int
    url: str
    secret: str
    body: str
    at: datetime


def send_due(outbound: Outbound, go_on: Callable[[], bool]) -> SendResult:
    """Send every message that is due, until none is or ``go_on`` says no; what is under way is waited for."""
    under_way: dict[Future[Answer], _Claim] = {}
    attempts = delivered = 0
    with ThreadPoolExecutor(MAX_POSTS, thread_name_prefix="webhook") as posts:
        may_claim = True
        while True:
            claims = _claim_due(list(under_way.values())) if may_claim else []
            under_way |= {posts.submit(_post, outbound, claim): claim for claim in claims}
            if not under_way:
                return SendResult(attempts, delivered)
            for post in wait(under_way, CLAIM_EVERY, FIRST_COMPLETED).done:
                claim, answer = under_way.pop(post), post.result()
                _record(claim, answer)
                metrics.webhook_attempts.labels(_outcome(claim, answer)).inc()
                attempts, delivered = attempts + 1, delivered + answer.is_delivered
            may_claim = may_claim and go_on()


# --- claim -------------------------------------------------------------------------------------------------------


def _claim_due(under_way: Sequence[_Claim]) -> list[_Claim]:
    """Claim as many due attempts as may be begun now."""
    busy = Counter(claim.endpoint_id for claim in under_way)
    claims: list[_Claim] = []
    while page := _claim_page(MAX_POSTS - len(under_way) - len(claims), busy):
        claims += page
    return claims


def _claim_page(limit: int, busy: Counter[uuid.UUID]) -> list[_Claim]:
    """Claim some of the longest due. ``busy`` counts what is under way for each endpoint, and here grows with it."""
    claims = []
    for row in _select_due(limit, busy):
        room = 1 if row.failing_since else MAX_PER_ENDPOINT
        if busy[row.endpoint_id] < room and (claim := _claim(row)):
            busy[row.endpoint_id] += 1
            claims.append(claim)
    return claims


def _select_due(limit: int, busy: Counter[uuid.UUID]) -> Sequence[Any]:
    """What is due, the longest first; nothing of an endpoint that has as much under way as it may.

    So one endpoint with a long queue, or one that hangs, does not hide the others.
    """
    if limit <= 0:
        return ()
    full = sa.or_(
        _endpoint.id.in_([endpoint_id for endpoint_id, count in busy.items() if count >= MAX_PER_ENDPOINT]),
        sa.and_(_endpoint.id.in_(list(busy)), _endpoint.failing_since.is_not(None)),
    )
    columns = (_delivery.id, _delivery.endpoint_id, _delivery.attempts, _delivery.due_at, _delivery.body)
    query = (
        sa.select(*columns, _endpoint.url, _endpoint.secret, _endpoint.failing_since)
        .join(webhook_endpoints, _endpoint.id == _delivery.endpoint_id)
        .where(_delivery.due_at <= clock.now(), _endpoint.disabled_at.is_(None), sa.not_(full))
        .order_by(_delivery.due_at, _delivery.id)
        .limit(limit)
    )
    with read_connection() as connection:
        return connection.execute(query).all()


def _claim(row: sa.Row[Any]) -> _Claim | None:
    """Take an attempt for ourselves. ``None`` when another process has taken it since it was read."""
    now = clock.now()
    unchanged = sa.and_(_delivery.id == row.id, _delivery.due_at == row.due_at)
    statement = sa.update(webhook_deliveries).where(unchanged).values(due_at=now + CLAIM, attempts=row.attempts + 1)
    with write_connection() as connection:
        if connection.execute(statement.returning(_delivery.id)).first() is None:
            return None
    return _Claim(row.id, row.endpoint_id, row.attempts + 1, row.url, row.secret, row.body, now)


def _post(outbound: Outbound, claim: _Claim) -> Answer:
    message_id = str(claim.id)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(claim.at.timestamp())),
        "webhook-signature": sign(claim.secret, message_id, claim.at, claim.body),
    }
    return outbound.post(claim.url, claim.body.encode(), headers)


# --- record ------------------------------------------------------------------------------------------------------


def _record(claim: _Claim, answer: Answer) -> None:
    """Keep what came of an attempt, and decide what follows from it."""
    now, this = clock.now(), _endpoint.id == claim.endpoint_id
    with write_transaction() as session:
        # Locked, so that whoever changes or deletes them at this moment is before us or after us.
        session.execute(sa.select(_endpoint.id).where(this).with_for_update(key_share=True))
        kept = sa.select(_delivery.attempts).where(_delivery.id == claim.id).with_for_update(key_share=True)
        attempts = session.scalar(kept)
        if attempts is None:
            return
        session.add(
            WebhookAttempt(
                delivery_id=claim.id,
                at=claim.at,
                status=answer.status,
                answer=answer.text,
                error=answer.error,
                duration=answer.duration,
            )
        )
        # Unless somebody had it sent again meanwhile; then that is what counts.
        if attempts == claim.number:
            _settle(session, claim, answer, now)
        _update_endpoint(session, claim, answer, now)


def _settle(session: Session, claim: _Claim, answer: Answer, now: datetime) -> None:
    delivered = answer.is_delivered
    due = None if delivered or _was_last(claim, answer) else _next_attempt(claim.number, now)
    values = {"due_at": due, "delivered_at": now if delivered else None}
    session.execute(sa.update(webhook_deliveries).where(_delivery.id == claim.id).values(values))


def _outcome(claim: _Claim, answer: Answer) -> str:
    """Return how an attempt is counted."""
    if answer.is_delivered:
        return "delivered"
    return "given_up" if _was_last(claim, answer) else "failed"


def _was_last(claim: _Claim, answer: Answer) -> bool:
    """Return whether none follows an attempt that failed."""
    return answer.status == STATUS_GONE or claim.number > len(BACKOFF)


def _next_attempt(number: int, now: datetime) -> datetime:
    """Return when to try again after the ``number``-th attempt, which was not the last."""
    return now + BACKOFF[number - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311


def _update_endpoint(session: Session, claim: _Claim, answer: Answer, now: datetime) -> None:
    this = _endpoint.id == claim.endpoint_id
    if answer.is_delivered:
        well = sa.update(webhook_endpoints).where(this, _endpoint.failing_since.is_not(None)).values(failing_since=None)
        session.execute(well)
        return
    session.execute(
        sa.update(webhook_endpoints).where(this, _endpoint.failing_since.is_(None)).values(failing_since=now)
    )
    since = session.scalar(sa.select(_endpoint.failing_since).where(this))
    if answer.status == STATUS_GONE:
        endpoints.disable(session, claim.endpoint_id, "It answered 410: gone for good.", at=now)
    elif _was_last(claim, answer) and since is not None and now - since >= GIVE_UP_AFTER:
        reason = f"Nothing was delivered since {since:%d %b %Y %H:%M} UTC."
        endpoints.disable(session, claim.endpoint_id, reason, at=now)
