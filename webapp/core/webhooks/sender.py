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
from webapp.core.models import Base, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from webapp.core.webhooks import endpoints
from webapp.core.webhooks.outbound import Answer, Outbound
from webapp.extensions import outbound

BACK_OFF = (
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
AT_ONCE = 16
AT_ONCE_FOR_ONE = 4
"""POSTs under way in one process: for all endpoints, and for one that answers well; a failing one gets one."""
LOOK_AGAIN = 1.0
"""Seconds after which it is looked for what is due, though all that is under way still waits for an answer."""
GONE = 410

_DELIVERIES = Base.metadata.tables[WebhookDelivery.__tablename__]
_ENDPOINTS = Base.metadata.tables[WebhookEndpoint.__tablename__]
_delivery, _endpoint = _DELIVERIES.c, _ENDPOINTS.c


def signature(secret: str, message_id: str, at: datetime, body: str) -> str:
    """The ``webhook-signature`` of Standard Webhooks: ``v1,`` and an HMAC-SHA256 in base64. ``secret`` is whsec_…."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{int(at.timestamp())}.{body}".encode()
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


@dataclass(frozen=True)
class Sent:
    """How many attempts were made, and how many of them were answered well."""

    attempts: int
    delivered: int


@dataclass(frozen=True)
class _Claimed:
    """One attempt that is ours to make: the ``number``-th of this message."""

    id: uuid.UUID
    endpoint_id: uuid.UUID
    number: int
    url: str
    secret: str
    body: str
    at: datetime


def send_due(go_on: Callable[[], bool]) -> Sent:
    """Send every message that is due, until none is or ``go_on`` says no; what is under way is waited for."""
    line, under_way, attempts, delivered = outbound(), dict[Future[Answer], _Claimed](), 0, 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as posts:
        more = True
        while True:
            claims = _claim_some(list(under_way.values())) if more else []
            under_way |= {posts.submit(_post, line, claimed): claimed for claimed in claims}
            if not under_way:
                return Sent(attempts, delivered)
            for done in wait(under_way, LOOK_AGAIN, FIRST_COMPLETED).done:
                claimed, answer = under_way.pop(done), done.result()
                _record(claimed, answer)
                metrics.webhook_attempts.labels(_outcome(claimed, answer)).inc()
                attempts, delivered = attempts + 1, delivered + answer.is_delivered
            more = more and go_on()


# --- claiming ----------------------------------------------------------------------------------------------------


def _claim_some(under_way: Sequence[_Claimed]) -> list[_Claimed]:
    """As many due attempts as may be begun now, each claimed."""
    busy = Counter(claimed.endpoint_id for claimed in under_way)
    claims: list[_Claimed] = []
    while more := _claim_page(AT_ONCE - len(under_way) - len(claims), busy):
        claims += more
    return claims


def _claim_page(limit: int, busy: Counter[uuid.UUID]) -> list[_Claimed]:
    """Claim some of the longest due. ``busy`` counts what is under way for each endpoint, and here grows with it."""
    claims = []
    for row in _due(limit, busy):
        room = 1 if row.failing_since else AT_ONCE_FOR_ONE
        if busy[row.endpoint_id] < room and (claimed := _claim(row)):
            busy[row.endpoint_id] += 1
            claims.append(claimed)
    return claims


def _due(limit: int, busy: Counter[uuid.UUID]) -> Sequence[Any]:
    """What is due, the longest first; nothing of an endpoint that has as much under way as it may.

    So one endpoint with a long queue, or one that hangs, does not hide the others.
    """
    if limit <= 0:
        return ()
    full = sa.or_(
        _endpoint.id.in_([endpoint_id for endpoint_id, count in busy.items() if count >= AT_ONCE_FOR_ONE]),
        sa.and_(_endpoint.id.in_(list(busy)), _endpoint.failing_since.is_not(None)),
    )
    columns = (_delivery.id, _delivery.endpoint_id, _delivery.attempts, _delivery.due_at, _delivery.body)
    query = (
        sa.select(*columns, _endpoint.url, _endpoint.secret, _endpoint.failing_since)
        .join(_ENDPOINTS, _endpoint.id == _delivery.endpoint_id)
        .where(_delivery.due_at <= clock.now(), _endpoint.disabled_at.is_(None), sa.not_(full))
        .order_by(_delivery.due_at, _delivery.id)
        .limit(limit)
    )
    with read_connection() as connection:
        return connection.execute(query).all()


def _claim(row: sa.Row[Any]) -> _Claimed | None:
    """Take an attempt for ourselves. Null when another process has taken it since it was read."""
    now = clock.now()
    unchanged = sa.and_(_delivery.id == row.id, _delivery.due_at == row.due_at)
    statement = sa.update(_DELIVERIES).where(unchanged).values(due_at=now + CLAIM, attempts=row.attempts + 1)
    with write_connection() as connection:
        if connection.execute(statement.returning(_delivery.id)).first() is None:
            return None
    return _Claimed(row.id, row.endpoint_id, row.attempts + 1, row.url, row.secret, row.body, now)


def _post(line: Outbound, claimed: _Claimed) -> Answer:
    message_id = str(claimed.id)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(claimed.at.timestamp())),
        "webhook-signature": signature(claimed.secret, message_id, claimed.at, claimed.body),
    }
    return line.post(claimed.url, claimed.body.encode(), headers)


# --- recording ---------------------------------------------------------------------------------------------------


def _record(claimed: _Claimed, answer: Answer) -> None:
    """Keep what came of an attempt, and decide what follows from it."""
    now, this = clock.now(), _endpoint.id == claimed.endpoint_id
    with write_transaction() as session:
        # Locked, so that whoever changes or deletes them at this moment is before us or after us.
        session.execute(sa.select(_endpoint.id).where(this).with_for_update(key_share=True))
        kept = sa.select(_delivery.attempts).where(_delivery.id == claimed.id).with_for_update(key_share=True)
        attempts = session.scalar(kept)
        if attempts is None:
            return
        session.add(
            WebhookAttempt(
                delivery_id=claimed.id,
                at=claimed.at,
                status=answer.status,
                answer=answer.text,
                error=answer.error,
                duration=answer.duration,
            )
        )
        # Unless somebody had it sent again meanwhile; then that is what counts.
        if attempts == claimed.number:
            _settle(session, claimed, answer, now)
        _judge_endpoint(session, claimed, answer, now)


def _settle(session: Session, claimed: _Claimed, answer: Answer, now: datetime) -> None:
    delivered = answer.is_delivered
    due = None if delivered or _was_last(claimed, answer) else _next(claimed.number, now)
    values = {"due_at": due, "delivered_at": now if delivered else None}
    session.execute(sa.update(_DELIVERIES).where(_delivery.id == claimed.id).values(values))


def _outcome(claimed: _Claimed, answer: Answer) -> str:
    """How an attempt is counted."""
    if answer.is_delivered:
        return "delivered"
    return "given_up" if _was_last(claimed, answer) else "failed"


def _was_last(claimed: _Claimed, answer: Answer) -> bool:
    """Whether none follows an attempt that failed."""
    return answer.status == GONE or claimed.number > len(BACK_OFF)


def _next(number: int, now: datetime) -> datetime:
    """When to try again after the ``number``-th attempt, which was not the last."""
    return now + BACK_OFF[number - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311


def _judge_endpoint(session: Session, claimed: _Claimed, answer: Answer, now: datetime) -> None:
    this = _endpoint.id == claimed.endpoint_id
    if answer.is_delivered:
        well = sa.update(_ENDPOINTS).where(this, _endpoint.failing_since.is_not(None)).values(failing_since=None)
        session.execute(well)
        return
    session.execute(sa.update(_ENDPOINTS).where(this, _endpoint.failing_since.is_(None)).values(failing_since=now))
    since = session.scalar(sa.select(_endpoint.failing_since).where(this))
    if answer.status == GONE:
        endpoints.disable(session, claimed.endpoint_id, "It answered 410: gone for good.", at=now)
    elif _was_last(claimed, answer) and since is not None and now - since >= GIVE_UP_AFTER:
        reason = f"Nothing was delivered since {since:%d %b %Y %H:%M} UTC."
        endpoints.disable(session, claimed.endpoint_id, reason, at=now)
