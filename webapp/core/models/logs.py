"""The lines that a runner writes about a job, the newest of them kept."""

import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class LogLevel(StrEnum):
    """How grave a line is, if its runner says so."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogTail(Base):
    """How much log a job has: the last sequence number given, and what is kept and what is gone.

    ``size`` is the kept text in bytes of UTF-8; ``dropped`` is how many of the oldest lines had to go.
    """

    __tablename__ = "log_tails"

    job_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("job_runs.id", ondelete="CASCADE"), primary_key=True)
    last_seq: Mapped[int]
    lines: Mapped[int]
    size: Mapped[int]
    dropped: Mapped[int]


class LogLine(Base):
    """One line of a job's log. ``seq`` counts from 1 within the job and has no gaps but at the beginning."""

    __tablename__ = "log_lines"

    job_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("job_runs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    level: Mapped[str | None] = mapped_column(sa.String(20))
    text: Mapped[str] = mapped_column(sa.Text)


log_tails = table_of(LogTail)
log_lines = table_of(LogLine)
