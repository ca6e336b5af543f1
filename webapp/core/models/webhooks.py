"""Webhooks: where a workspace wants to hear of its jobs, what is to be told there, and how each attempt went."""

import base64
import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from webapp.core import encryption
from webapp.core.encryption import current_cipher
from webapp.core.models.base import Base, partial_index, table_of


class WebhookEvent(StrEnum):
    """What an endpoint may be told of. ``LOST`` is told instead of ``FAILED`` when the board found a job lost."""

    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELED = "job.canceled"
    LOST = "job.lost"


class DeliveryState(StrEnum):
    """How far a message has come. One that failed is not tried again unless somebody asks for it."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


SECRET_PREFIX = "whsec_"  # noqa: S105
"""What begins every secret, as Standard Webhooks has it; the rest is a key in base64."""


class EncryptedSecret(TypeDecorator[str]):
    """A column of secrets, which the database holds encrypted. One that cannot be read with this key is ``None``."""

    impl = sa.String(100)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        return current_cipher.get().encrypt(base64.b64decode(value.removeprefix(SECRET_PREFIX)))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        # An older release stored them as they are.
        if value is None or not value.startswith(encryption.PREFIX):
            return value
        try:
            return SECRET_PREFIX + base64.b64encode(current_cipher.get().decrypt(value)).decode()
        except encryption.Unreadable:
            return None


class WebhookEndpoint(Base):
    """An address that is told of a workspace's jobs. ``secret`` signs what is sent.

    ``previous_secret`` signs beside it until ``previous_until``, so that a receiver can be given the new one in time.
    ``failing_since`` is the first failure after the last success; an endpoint that fails for days is disabled by the
    board, which ``disabled_reason`` says. Messages are sent as long as the person ``sponsor_id`` may create webhooks;
    ``None`` is the administrator.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(sa.String(2000))
    secret: Mapped[str] = mapped_column(EncryptedSecret)
    previous_secret: Mapped[str | None] = mapped_column(EncryptedSecret)
    previous_until: Mapped[datetime | None]
    events: Mapped[list[str]]
    created_by: Mapped[str] = mapped_column(sa.String(60))
    sponsor_id: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime]
    failing_since: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None] = mapped_column(sa.String(200))

    @property
    def sponsor_ref(self) -> str | None:
        """How records name the person by whose right it counts; ``None`` is the administrator."""
        return f"user:{self.sponsor_id}" if self.sponsor_id else None


class WebhookDelivery(Base):
    """One message to one endpoint, written in the transaction that changed the job, and sent by the chores.

    ``body`` is the text that is signed and sent, the same at every attempt. ``due_at`` is when to try next; ``None``
    when it was delivered or given up. ``attempts`` counts from the beginning again when somebody has it sent again.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        sa.Index(None, "endpoint_id", "id"),
        partial_index("ix_webhook_deliveries_due", "endpoint_id", "due_at", "id", where="due_at IS NOT NULL"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(sa.String(40))
    job_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("job_runs.id", ondelete="SET NULL"), index=True)
    body: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime]
    attempts: Mapped[int]
    due_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]

    @property
    def state(self) -> DeliveryState:
        if self.due_at is not None:
            return DeliveryState.WAITING
        return DeliveryState.DELIVERED if self.delivered_at is not None else DeliveryState.FAILED


class WebhookAttempt(Base):
    """One attempt to deliver: the answer's status and beginning, or the error; ``duration`` is in milliseconds."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (sa.Index(None, "delivery_id", "id"),)

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    delivery_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    status: Mapped[int | None]
    answer: Mapped[str | None] = mapped_column(sa.Text)
    error: Mapped[str | None] = mapped_column(sa.String(500))
    duration: Mapped[int]


webhook_endpoints = table_of(WebhookEndpoint)
webhook_deliveries = table_of(WebhookDelivery)
