"""The time limits that a workspace gives its jobs."""

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class TimeLimits(Base):
    """The limits of jobs that are enqueued without their own: of one type, or of every type (``type`` is empty).

    Both are seconds; ``None`` asks for no limit.
    """

    __tablename__ = "time_limits"

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    type: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    heartbeat_timeout: Mapped[int | None]
    max_duration: Mapped[int | None]


time_limits = table_of(TimeLimits)
