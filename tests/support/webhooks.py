"""The outbox of webhooks, as tests look into it."""

import sqlalchemy as sa

from tests.support.clock import Clock
from webapp.core.database.session import db
from webapp.core.models import WebhookDelivery, WebhookEvent
from webapp.core.webhooks import sender
from webapp.core.webhooks.sender import SendResult
from webapp.extensions import outbound

EVERYTHING = tuple(WebhookEvent)

PRIVATE = {"WEBHOOK_ALLOW_PRIVATE": "1"}
"""The settings of an administrator who allows private addresses: here every receiver has one."""


def send() -> SendResult:
    return sender.send_due(outbound(), lambda: True)


def exhaust(clock: Clock) -> None:
    """Let time pass until nothing waits any more."""
    while waiting := [message.due_at for message in list_deliveries() if message.due_at]:
        clock.moment = max(clock.moment, min(waiting))
        send()


def list_deliveries() -> list[WebhookDelivery]:
    """What is put down, as it stands now; other threads may have written since this session last read."""
    db.session.commit()
    query = sa.select(WebhookDelivery).order_by(WebhookDelivery.id).execution_options(populate_existing=True)
    return list(db.session.scalars(query))
