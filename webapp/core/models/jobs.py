"""The job record, its tags and its history; and the questions that one row can answer."""

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.lifecycle import FINAL, REVIVABLE_REASON, SUCCESSORS, EventKind, FailureReason, JobStatus
from webapp.core.models.base import Base, one_of, partial_index, table_of


class CancelProgress(StrEnum):
    """How far the runner's process has followed a cancel, as far as it is known."""

    NOT_SEEN = "not_seen"
    SEEN = "seen"
    STOPPED = "stopped"
    FINISHED_ANYWAY = "finished_anyway"


class JobRun(Base):
    """One run of a background job, as its runner reports it. Only ``webapp.core.jobs.store`` writes its rows.

    ``workspace_id`` is ``None`` only for jobs made in-process by an administrator. ``version`` grows with every write,
    so that a reader can tell "unchanged" from two small numbers. ``check_at`` is when the board must next look whether
    the job ran too long or fell silent; ``None`` when neither limit is set or the job is not running.
    ``finish_refused`` is the status of the first final report that came after a cancel. ``error_group`` is the
    fingerprint that failed jobs of one type share whose errors say the same.
    """

    __tablename__ = "job_runs"
    __table_args__ = (
        sa.Index(None, "workspace_id", "id"),
        sa.Index(None, "workspace_id", "status", "id"),
        sa.Index(None, "workspace_id", "type", "id"),
        sa.Index(None, "workspace_id", "created_by", "id"),
        # For the counts on the tabs: without these, each count of a rare type or maker reads all jobs of a status.
        sa.Index(None, "workspace_id", "type", "status"),
        sa.Index(None, "workspace_id", "created_by", "status"),
        # Each of these is touched when a job starts or ends, and never by its progress.
        partial_index("ix_job_runs_failed", "workspace_id", "completed_at", "error_group", where="status = 'failed'"),
        partial_index(
            "ix_job_runs_alike", "workspace_id", "error_group", "id", "completed_at", where="status = 'failed'"
        ),
        partial_index("ix_job_runs_canceled", "workspace_id", "canceled_at", where="status = 'canceled'"),
        partial_index("ix_job_runs_running", "workspace_id", "started_at", "id", where="status = 'running'"),
        # What completed when, for the overview: it counts in here, and reads durations by type.
        partial_index(
            "ix_job_runs_done", "workspace_id", "completed_at", "type", "started_at", where="status = 'completed'"
        ),
        # All that the usual duration of a type is read from; written once, when a job completes.
        partial_index(
            "ix_job_runs_completed",
            *("workspace_id", "type", "id", "started_at", "completed_at", "failure_reason"),
            where="completed_at IS NOT NULL AND failure_reason IS NULL",
        ),
        partial_index("ix_job_runs_check_at", "check_at", where="check_at IS NOT NULL"),
        partial_index("ix_job_runs_parent_id", "parent_id", "id", where="parent_id IS NOT NULL"),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(sa.String(200))
    status: Mapped[JobStatus] = mapped_column(one_of(JobStatus, "status"))
    payload: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(sa.Text)
    progress: Mapped[int] = mapped_column(sa.SmallInteger)
    workspace_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"))
    created_by: Mapped[str] = mapped_column(sa.String(60))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    canceled_at: Mapped[datetime | None]
    canceled_by: Mapped[str | None] = mapped_column(sa.String(60))
    cancel_seen_at: Mapped[datetime | None]
    cancel_confirmed_at: Mapped[datetime | None]
    finish_refused: Mapped[JobStatus | None] = mapped_column(one_of(JobStatus, "finish_refused"))
    message: Mapped[str | None] = mapped_column(sa.String(500))
    tags: Mapped[list[str]]
    link: Mapped[str | None] = mapped_column(sa.String(2000))
    runner: Mapped[str | None] = mapped_column(sa.String(200))
    failure_reason: Mapped[FailureReason | None] = mapped_column(one_of(FailureReason, "failure_reason"))
    max_duration: Mapped[int | None]
    heartbeat_timeout: Mapped[int | None]
    last_seen_at: Mapped[datetime | None]
    parent_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("job_runs.id", ondelete="SET NULL"))
    version: Mapped[int]
    check_at: Mapped[datetime | None]
    error_group: Mapped[str | None] = mapped_column(sa.String(16))

    @property
    def short_id(self) -> str:
        """The last 8 characters: version 7 ids of one minute begin alike."""
        return str(self.id)[-8:]

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def can_cancel(self) -> bool:
        """Whether Cancel would move this job; the button and the rule read the same table."""
        return JobStatus.CANCELED in SUCCESSORS[self.status]

    @property
    def ended_at(self) -> datetime | None:
        """When the job reached its final status; ``None`` while it is live."""
        return self.canceled_at if self.status is JobStatus.CANCELED else self.completed_at

    @property
    def duration(self) -> timedelta | None:
        """From start to end; ``None`` while it runs and if it never started. Never negative."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(self.ended_at - self.started_at, timedelta(0))

    @property
    def cancel_progress(self) -> CancelProgress | None:
        """How far the runner has followed a cancel; ``None`` unless the job is canceled."""
        if self.status is not JobStatus.CANCELED:
            return None
        if self.finish_refused:
            return CancelProgress.FINISHED_ANYWAY
        if self.cancel_confirmed_at:
            return CancelProgress.STOPPED
        return CancelProgress.SEEN if self.cancel_seen_at else CancelProgress.NOT_SEEN

    @property
    def awaits_news(self) -> bool:
        """Whether its runner may yet add something: it is live or lost, or its cancel is not confirmed.

        A job that was canceled before it started has no runner that could see the cancel.
        """
        if self.status is JobStatus.CANCELED:
            return self.started_at is not None and self.cancel_progress in (
                CancelProgress.NOT_SEEN,
                CancelProgress.SEEN,
            )
        return not self.is_final or self.failure_reason is REVIVABLE_REASON


class JobSnapshot(NamedTuple):
    """A job as one statement gave it back, apart from any database session: what is decided on and sent to runners.

    The columns of ``JobRun`` in their order, but for the payload, which is here only where it was at hand anyway.
    """

    id: uuid.UUID
    type: str
    status: JobStatus
    result: dict[str, Any] | None
    error: str | None
    progress: int
    workspace_id: uuid.UUID | None
    created_by: str
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    canceled_at: datetime | None
    canceled_by: str | None
    cancel_seen_at: datetime | None
    cancel_confirmed_at: datetime | None
    finish_refused: JobStatus | None
    message: str | None
    tags: list[str]
    link: str | None
    runner: str | None
    failure_reason: FailureReason | None
    max_duration: int | None
    heartbeat_timeout: int | None
    last_seen_at: datetime | None
    parent_id: uuid.UUID | None
    version: int
    check_at: datetime | None
    error_group: str | None
    payload: dict[str, Any] | None = None


JOB_FIELDS = (
    "id",
    "type",
    "status",
    "payload",
    "result",
    "error",
    "progress",
    "workspace_id",
    "created_by",
    "started_at",
    "completed_at",
    "created_at",
    "updated_at",
    "canceled_at",
    "canceled_by",
    "cancel_seen_at",
    "cancel_confirmed_at",
    "message",
    "tags",
    "link",
    "runner",
    "failure_reason",
    "max_duration",
    "heartbeat_timeout",
    "last_seen_at",
    "parent_id",
)
"""Every field of the record that clients may rely on, in the order in which answers give them."""


class JobTag(Base):
    """One tag of one job, for finding jobs by tag; the job row carries the list in the order given."""

    __tablename__ = "job_tags"

    workspace_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("job_runs.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class JobEvent(Base):
    """One line of a job's history. ``at`` is when it happened, which a late report may set back."""

    __tablename__ = "job_events"
    __table_args__ = (sa.Index(None, "job_id", "id"),)

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("job_runs.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    kind: Mapped[EventKind] = mapped_column(one_of(EventKind, "kind"))
    from_status: Mapped[JobStatus | None] = mapped_column(one_of(JobStatus, "from_status"))
    to_status: Mapped[JobStatus | None] = mapped_column(one_of(JobStatus, "to_status"))
    by: Mapped[str] = mapped_column(sa.String(60))
    message: Mapped[str | None] = mapped_column(sa.String(500))


job_runs = table_of(JobRun)
job_tags = table_of(JobTag)
job_events = table_of(JobEvent)
