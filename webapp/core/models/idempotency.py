"""Requests that a runner may repeat: which key was used for what, and what it was answered."""

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class IdempotencyKey(Base):
    """One ``Idempotency-Key`` that was used, kept as long as its job.

    ``scope`` is where the key is unique: the workspace for a new job, the job for its log lines. ``digest`` is the
    SHA-256 of the body, so that another body under the same key is noticed. ``next_after`` is what an append to a log
    was answered.
    """

    __tablename__ = "idempotency_keys"

    scope: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    digest: Mapped[str] = mapped_column(sa.String(64))
    job_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("job_runs.id", ondelete="CASCADE"), index=True)
    next_after: Mapped[int | None]


idempotency_keys = table_of(IdempotencyKey)
