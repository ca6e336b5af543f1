"""Records jobs that ran before the board knew of them, each as a whole."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.core.audit import SYSTEM
from webapp.core.jobs import error_groups, store
from webapp.core.lifecycle import LIVE, SUCCESSORS, EventKind, FailureReason, JobStatus
from webapp.core.models import job_runs, new_id


@dataclass(frozen=True, kw_only=True)
class PastJob:
    """A job that ran before the board knew of it, as a whole. ``ended_at`` is ``None`` as long as it is live.

    The times must follow each other and lead to ``status`` by the lifecycle, or ``ValueError`` is raised.
    """

    type: str
    status: JobStatus
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    created_by: str = SYSTEM.ref
    canceled_by: str | None = None
    runner: str | None = None
    progress: int = 0
    message: str | None = None
    payload: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    failure_reason: FailureReason | None = None
    max_duration: int | None = None
    link: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        times = [at for at in (self.created_at, self.started_at, self.ended_at) if at is not None]
        illegal = [
            transition
            for transition in self.transitions
            if transition[1] is not None and transition[2] not in SUCCESSORS[transition[1]]
        ]
        if illegal or times != sorted(times) or (self.ended_at is None) != (self.status in LIVE):
            raise ValueError(f"No job becomes {self.status} like this.")

    @property
    def transitions(self) -> Sequence[tuple[datetime, JobStatus | None, JobStatus]]:
        """Return each status it took: since when, from which one, and which."""
        transitions: list[tuple[datetime, JobStatus | None, JobStatus]] = [(self.created_at, None, JobStatus.PENDING)]
        if self.started_at is not None:
            transitions.append((self.started_at, JobStatus.PENDING, JobStatus.RUNNING))
        if self.status is not transitions[-1][2]:
            transitions.append((self.ended_at or self.created_at, transitions[-1][2], self.status))
        return transitions


def _job_row(workspace_id: uuid.UUID, job: PastJob) -> dict[str, Any]:
    canceled = job.status is JobStatus.CANCELED
    last_seen_at = job.ended_at or job.started_at
    return dict.fromkeys(job_runs.c.keys()) | {
        "id": new_id(job.created_at),
        "type": job.type,
        "status": job.status,
        "payload": job.payload,
        "result": job.result,
        "error": job.error,
        "progress": job.progress,
        "workspace_id": workspace_id,
        "created_by": job.created_by,
        "started_at": job.started_at,
        "completed_at": None if canceled else job.ended_at,
        "created_at": job.created_at,
        "updated_at": last_seen_at or job.created_at,
        "canceled_at": job.ended_at if canceled else None,
        "canceled_by": job.canceled_by if canceled else None,
        # Whoever records a cancel that is past knows of it.
        "cancel_seen_at": job.ended_at if canceled and job.started_at else None,
        "cancel_confirmed_at": job.ended_at if canceled and job.started_at else None,
        "message": job.message,
        "tags": list(dict.fromkeys(job.tags)),
        "link": job.link,
        "runner": job.runner,
        "failure_reason": job.failure_reason,
        "error_group": error_groups.make_fingerprint(job.type, job.error) if job.status is JobStatus.FAILED else None,
        "max_duration": job.max_duration,
        "last_seen_at": last_seen_at,
        "version": len(job.transitions),
    }


def _event_rows(job_id: uuid.UUID, job: PastJob) -> Iterator[dict[str, Any]]:
    for at, before, to in job.transitions:
        ends = at == job.ended_at and to is job.status
        yield {
            "job_id": job_id,
            "at": at,
            "kind": EventKind.MOVED if before else EventKind.ENQUEUED,
            "from_status": before,
            "to_status": to,
            "by": (job.canceled_by if to is JobStatus.CANCELED else None) or job.created_by,
            "message": job.message if ends else None,
        }


def record_past(workspace_id: uuid.UUID, jobs: Sequence[PastJob]) -> None:
    """Write jobs that ran before the board knew of them, with their history, in one transaction.

    No webhook is sent: none of it is news.
    """
    rows = [_job_row(workspace_id, job) for job in jobs]
    events = [event for row, job in zip(rows, jobs, strict=True) for event in _event_rows(row["id"], job)]
    tags = [{"workspace_id": workspace_id, "tag": tag, "job_id": row["id"]} for row in rows for tag in row["tags"]]
    store.insert_past(rows, events, tags)
