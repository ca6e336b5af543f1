"""Keeps what the board acknowledged, as the runners and the operator saw it."""

import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class AcknowledgedJob:
    """What the board acknowledged of one job. Each field is written by the one runner that has the job."""

    key: str
    """The Idempotency-Key under which it was created; its payload holds it too."""
    job_id: uuid.UUID
    started: bool = False
    progress: int = 0
    final_status: str | None = None
    log_lines: list[str] = field(default_factory=list)
    canceled_by_operator: bool = False

    def count_writes(self) -> int:
        """Return how many writes to this job were acknowledged."""
        flags = (True, self.started, self.progress > 0, self.final_status, self.canceled_by_operator)
        return sum(map(bool, flags)) + len(self.log_lines)


class Journal:
    """Collects acknowledged writes and refusals of several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.jobs: list[AcknowledgedJob] = []
        self.keys_sent: list[str] = []
        """Keys of all creations that were sent, acknowledged or not."""
        self.refusals: Counter[str] = Counter()
        """Answers that ask to try again, and requests without an answer, by what they were."""
        self.unexpected: Counter[str] = Counter()
        """Answers that no runner should ever see, like a 500."""
        self.acknowledged_at: list[float] = []
        """When each acknowledgment came, by the monotonic clock."""

    def add_job(self, job: AcknowledgedJob) -> None:
        with self._lock:
            self.jobs.append(job)

    def add_key(self, key: str) -> None:
        with self._lock:
            self.keys_sent.append(key)

    def acknowledge(self) -> None:
        with self._lock:
            self.acknowledged_at.append(time.monotonic())

    def refuse(self, reason: str) -> None:
        with self._lock:
            self.refusals[reason] += 1

    def add_unexpected(self, reason: str) -> None:
        with self._lock:
            self.unexpected[reason] += 1

    def count_writes(self) -> int:
        """Return how many writes were acknowledged in all."""
        return sum(job.count_writes() for job in self.jobs)

    def first_acknowledgment_after(self, moment: float) -> float | None:
        """Return when the board first acknowledged anything after a moment of the monotonic clock."""
        with self._lock:
            return min((at for at in self.acknowledged_at if at > moment), default=None)
