"""The audit log."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base


class AuditEntry(Base):
    """One act of a person, or one cancel by whomever: who, what, on which resource, when, from which address."""

    __tablename__ = "audit_log"
    __table_args__ = (sa.Index(None, "workspace_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(60))
    action: Mapped[str] = mapped_column(sa.String(60))
    resource: Mapped[str] = mapped_column(sa.String(60))
    address: Mapped[str | None] = mapped_column(sa.String(64))
    detail: Mapped[dict[str, Any] | None]
