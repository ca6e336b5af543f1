"""For how long a workspace keeps its finished jobs."""

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.lifecycle import JobStatus
from webapp.core.models.base import Base, one_of, table_of


class Retention(Base):
    """For how many days a workspace keeps its jobs of one final status; without a row, for ever."""

    __tablename__ = "retentions"
    __table_args__ = (sa.CheckConstraint("days >= 1", name="days"),)

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    status: Mapped[JobStatus] = mapped_column(one_of(JobStatus, "status"), primary_key=True)
    days: Mapped[int]


retentions = table_of(Retention)
