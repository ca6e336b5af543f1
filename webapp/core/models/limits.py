"""How much a workspace and a person may have, where an administrator has set it, and what was used of a day."""

import uuid
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class WorkspaceLimit(Base):
    """A limit that an administrator has set for one workspace; without a row the default holds."""

    __tablename__ = "workspace_limits"

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    value: Mapped[int]


class UserLimit(Base):
    """A limit that an administrator has set for one person; without a row the default holds."""

    __tablename__ = "user_limits"

    user_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    value: Mapped[int]


class DailyUsage(Base):
    """How many bytes the servers have taken of a daily limit of a workspace; ``day`` is by UTC."""

    __tablename__ = "daily_usage"

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger)


workspace_limits = table_of(WorkspaceLimit)
user_limits = table_of(UserLimit)
daily_usage = table_of(DailyUsage)
