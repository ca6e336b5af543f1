"""Sends what the outbox holds, to many receivers at once; ``places`` decides to whom next.

A message is claimed, posted and then recorded. Database work is done by the thread that calls ``send_due``; only the
POSTs run beside it.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

from webapp.core import metrics
from webapp.core.webhooks import attempts
from webapp.core.webhooks.attempts import Claim, Outcome
from webapp.core.webhooks.outbound import Answer, Outbound
from webapp.core.webhooks.places import FAILING, WORKING, share_places

LOOK_EVERY = 1.0
"""Seconds after which due messages are claimed though all that is under way still waits for an answer, and after which
``go_on`` is asked again."""
GATHER = 0.01
"""Seconds of pause after an answer: what else is answered meanwhile is recorded with it, and others may write."""

UNREADABLE = "Its secret was encrypted with another SECRET_KEY: give it a new one, or tell the administrator."


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


def send_due(outbound: Outbound, go_on: Callable[[], bool]) -> SendResult:
    """Send every message that is due, until none is or ``go_on`` says no; what is under way is waited for."""
    under_way: dict[Future[Answer], Claim] = {}
    count = delivered = 0
    may_claim, next_look = True, 0.0
    with ThreadPoolExecutor(WORKING.total + FAILING.total, thread_name_prefix="webhook") as posts:
        while True:
            claims = _claim_due(under_way.values()) if may_claim else []
            under_way |= {posts.submit(_post, outbound, claim): claim for claim in claims}
            if not under_way:
                return SendResult(count, delivered)
            outcomes = _collect_outcomes(under_way)
            count, delivered = count + len(outcomes), delivered + sum(one.answer.is_delivered for one in outcomes)
            if may_claim and time.monotonic() >= next_look:
                may_claim, next_look = go_on(), time.monotonic() + LOOK_EVERY


def _claim_due(under_way: Iterable[Claim]) -> list[Claim]:
    """Claim as many due attempts as there are places for."""
    shares = share_places(attempts.list_ready(), [claim.endpoint for claim in under_way])
    return [claim for endpoint, places in shares.items() for claim in attempts.claim(endpoint, places)]


def _post(outbound: Outbound, claim: Claim) -> Answer:
    message_id = str(claim.id)
    if not claim.endpoint.secrets:
        return Answer(None, None, UNREADABLE, 0)
    signatures = (sign(secret, message_id, claim.at, claim.body) for secret in claim.endpoint.secrets)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(claim.at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return outbound.post(claim.endpoint.url, claim.body.encode(), headers)


def _collect_outcomes(under_way: dict[Future[Answer], Claim]) -> Sequence[Outcome]:
    """Wait for an answer, and take out and record all that have come; none may have after ``LOOK_EVERY``."""
    if wait(under_way, LOOK_EVERY, FIRST_COMPLETED).done:
        time.sleep(GATHER)
    outcomes = [Outcome(under_way.pop(post), post.result()) for post in list(under_way) if post.done()]
    if outcomes:
        attempts.record(outcomes)
    for outcome in outcomes:
        metrics.webhook_attempts.labels(outcome.label).inc()
    return outcomes
