"""The life of a job as data: which status may follow which, and why a job failed.

Everything that asks "is it finished?" or "may it move?" reads this table. Imports nothing of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class JobStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class FailureReason(StrEnum):
    """Why a job failed: its runner said so (``error``), or the board decided it (``timed_out``, ``lost``)."""

    ERROR = "error"
    TIMED_OUT = "timed_out"
    LOST = "lost"


class EventKind(StrEnum):
    """What one event of a job's history is. ``moved`` is written exactly once for each change of status."""

    ENQUEUED = "enqueued"
    MOVED = "moved"
    CANCEL_SEEN = "cancel_seen"
    CANCEL_CONFIRMED = "cancel_confirmed"
    REFUSED = "refused"


@dataclass(frozen=True)
class HistoryEvent:
    """One event of a job's history: what happened, when, and for a move from which status to which."""

    kind: EventKind
    at: datetime
    from_status: JobStatus | None = None
    to_status: JobStatus | None = None
    message: str | None = None


SUCCESSORS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELED}),
    JobStatus.RUNNING: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELED}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELED: frozenset(),
}
"""Nothing leaves a final status, with one exception that ``REVIVABLE_REASON`` names."""

REVIVABLE_REASON = FailureReason.LOST
"""A job that the board itself failed for this reason runs on if its runner reports again."""

FINAL = frozenset(status for status, successors in SUCCESSORS.items() if not successors)
LIVE = frozenset(SUCCESSORS) - FINAL


def predecessors(status: JobStatus) -> frozenset[JobStatus]:
    """Return the statuses from which a job may move to ``status``."""
    return frozenset(before for before, successors in SUCCESSORS.items() if status in successors)
