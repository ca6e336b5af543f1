"""Hold what is to be sent to the board: in order, without what is outdated, within bounds."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from callboard_client.errors import CallboardError, JobStopped
from callboard_client.record import JobRecord

MAX_ENTRIES = 10_000
"""Entries that wait at most. Beyond that new jobs and log lines are dropped; a job that was begun is reported to its
end."""
MAX_LINES = 499
"""Lines of one job's log that wait: with one that counts the omitted ones it is what the board takes in a request."""
MAX_LINE_LENGTH = 4_000
"""Characters of one log line."""
MAX_BATCH = 100
"""Reports in one request."""
MAX_BATCH_BYTES = 400_000
"""Bytes of results and errors, or of log lines, in one request; the board takes 1 MiB."""

Kind = Literal["create", "report", "log"]
StopCallback = Callable[[JobStopped], object]


@dataclass(eq=False)
class TrackedJob:
    """A job whose reports are sent from this process: what the board said of it, and who is to know of a stop."""

    id: str | None = None
    """The board's id; ``None`` until the board has created the job."""
    local_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """The id in the spool, where a job may have no other one yet."""
    dropped: bool = False
    """Whether nothing more is sent of it: the board does not know it, or there was no room."""
    stop: JobStopped | None = None
    """The board's answer that told the job to stop."""
    last_report_at: float = 0.0
    """When its last report was queued, by the monotonic clock."""
    stop_callbacks: list[StopCallback] = field(default_factory=list)


@dataclass(eq=False)
class Entry:
    """One thing to be sent about a job: its creation, a report, or lines of its log."""

    job: TrackedJob
    kind: Kind
    body: dict[str, Any]
    at: datetime
    key: str | None = None
    """The ``Idempotency-Key``."""
    parent: TrackedJob | None = None
    """The job that this one belongs to, where that had no id yet."""
    urgent: bool = False
    """Whether it is sent without waiting for others."""
    in_spool: bool = False
    """Whether it is written down on disk."""
    spool_file: Path | None = None
    """The file of a dead process in which it was found."""
    failures: int = 0
    """How often sending it failed because of itself; after the first time it is sent alone."""
    frozen: bool = False
    """Whether it is being sent or written down, so that nothing may be added to it."""
    outcome: JobRecord | CallboardError | None = None
    """The board's answer, once there is one."""
    answered: bool = False
    omitted: int = 0
    """Log lines that were left out because there were too many."""
    size: int = 0
    """Bytes of the log lines."""


class Outbox:
    """Keep entries in the order in which they came. Not thread-safe: the owner holds a lock."""

    def __init__(self) -> None:
        self._entries: dict[Entry, None] = {}
        self._urgent = 0
        # By job, the entry that may still grow: until something else is queued of the job, or the entry is sent.
        self._reports: dict[TrackedJob, Entry] = {}
        self._logs: dict[TrackedJob, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def has_urgent(self) -> bool:
        """Whether an entry is not to wait for others."""
        return self._urgent > 0

    @property
    def has_room(self) -> bool:
        """Whether a new job or another entry of log lines may be added."""
        return len(self._entries) < MAX_ENTRIES

    def add(self, entry: Entry) -> None:
        """Add an entry. What comes later of the same job is not merged with what came before it."""
        self._reports.pop(entry.job, None)
        self._entries[entry] = None
        self._urgent += entry.urgent

    def merge_report(self, job: TrackedJob, fields: Mapping[str, Any], at: datetime) -> None:
        """Report fields of a job, together with those that wait already; later values replace earlier ones."""
        entry = self._reports.get(job)
        if entry is None or entry.frozen:
            entry = Entry(job, "report", {}, at)
            self.add(entry)
            self._reports[job] = entry
        entry.body.update(fields)

    def add_lines(self, job: TrackedJob, lines: Sequence[dict[str, Any]], at: datetime, omitted: int = 0) -> None:
        """Add lines to a job's log, after ``omitted`` others that were left out. Of too many the last are kept."""
        entry = self._logs.get(job)
        if entry is None or entry.frozen:
            if not self.has_room:
                return
            entry = self._logs[job] = Entry(job, "log", {"lines": []}, at)
            self._entries[entry] = None
        kept: list[dict[str, Any]] = entry.body["lines"]
        for line in lines[-MAX_LINES:]:
            kept.append({**line, "text": line["text"][:MAX_LINE_LENGTH]})
            entry.size += _size(kept[-1])
        excess = 0
        while len(kept) - excess > MAX_LINES or entry.size > MAX_BATCH_BYTES:
            entry.size -= _size(kept[excess])
            excess += 1
        del kept[:excess]
        entry.omitted += omitted + max(0, len(lines) - MAX_LINES) + excess

    def next_batch(self) -> list[Entry]:
        """Freeze and return the entries of the next request; they stay here until they are removed.

        Reports go together, past entries of other jobs that go alone; the entries of one job keep their order.
        """
        batch: list[Entry] = []
        skipped: set[TrackedJob] = set()
        size = 0
        for entry in self._entries:
            alone = entry.kind != "report" or entry.job.id is None or entry.failures > 0
            if not batch and alone:
                entry.frozen = True
                return [entry]
            if alone or entry.job in skipped:
                skipped.add(entry.job)
                continue
            size += 200 + (_size(entry.body) if "status" in entry.body or "result" in entry.body else 0)
            if batch and size > MAX_BATCH_BYTES:
                break
            entry.frozen = True
            batch.append(entry)
            if len(batch) == MAX_BATCH:
                break
        return batch

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove entries that are here."""
        for entry in entries:
            if entry in self._entries:
                del self._entries[entry]
                self._urgent -= entry.urgent
                for growing in (self._reports, self._logs):
                    if growing.get(entry.job) is entry:
                        del growing[entry.job]

    def put_back(self, entry: Entry) -> None:
        """Add an entry before all others."""
        self._entries = {entry: None, **self._entries}
        self._urgent += entry.urgent

    def drop(self, job: TrackedJob) -> None:
        """Mark a job as dropped and remove all its entries."""
        job.dropped = True
        self.remove([entry for entry in self._entries if entry.job is job])


def _size(value: object) -> int:
    """Count the bytes of a value's JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode())
