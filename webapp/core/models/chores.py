"""What a workspace asks of the board's chores, and who does them."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.lifecycle import JobStatus
from webapp.core.models.base import Base, one_of


class TimeLimits(Base):
    """The limits of jobs that are enqueued without their own: of one type, or of every type (``type`` is empty).

    Both are seconds; null asks for no limit.
    """

    __tablename__ = "time_limits"

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    type: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    heartbeat_timeout: Mapped[int | None]
    max_duration: Mapped[int | None]


class Retention(Base):
    """For how many days a workspace keeps its jobs of one final status; without a row, for ever."""

    __tablename__ = "retentions"
    __table_args__ = (sa.CheckConstraint("days >= 1", name="days"),)

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    status: Mapped[JobStatus] = mapped_column(one_of(JobStatus, "status"), primary_key=True)
    days: Mapped[int]


class Lease(Base):
    """Who may do a chore at present; of any number of processes one holds it, until it lets go or falls silent."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(sa.String(100))
    until: Mapped[datetime]
