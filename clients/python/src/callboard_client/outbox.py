"""What the board has not been told yet: in order, without what is outdated, within bounds."""

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from callboard_client.errors import CallboardError, JobStopped
from callboard_client.record import JobRecord

LIMIT = 10_000
"""Entries that wait. When so many do, new jobs and lines of logs are left out; what was begun is told to its end."""
LINES = 500
"""Lines of one job's log that wait, which is what the board takes at once; of more than that the last."""
AT_ONCE = 100
"""Reports in one request."""
BYTES_AT_ONCE = 400_000
"""Of results and errors in one request; the board takes a MiB."""

Kind = Literal["create", "report", "log"]


@dataclass(eq=False)
class Subject:
    """A job as the outbox knows it: what the board said of it, and what of it still waits."""

    id: str | None = None
    """Null until the board has made it."""
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    """What it is called where it has no id yet."""
    untold: bool = False
    """Whether nothing more is said of it: the board does not know it, or there was no room."""
    stop: JobStopped | None = None
    """What the board said when it was to stop."""
    spoken: float = 0.0
    """When it last said something, by the monotonic clock."""
    on_stop: list[Callable[[JobStopped], object]] = field(default_factory=list)


@dataclass(eq=False)
class Entry:
    """One thing that the board is to be told of a job. ``outcome`` is the board's answer, once there is one."""

    subject: Subject
    kind: Kind
    body: dict[str, Any]
    at: datetime
    key: str | None = None
    urgent: bool = False
    kept: bool = False
    """Whether it is in the spool."""
    tries: int = 0
    taken: bool = False
    outcome: JobRecord | CallboardError | None = None
    answered: bool = False
    left_out: int = 0
    """Lines of a log that were too many."""

    @property
    def size(self) -> int:
        """Bytes of it, roughly."""
        return sum(len(str(self.body[name])) for name in ("result", "error") if name in self.body) + 200


class Outbox:
    """Entries in the order in which they came. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._urgent = 0
        # By job, what waits and may still grow: as long as nothing else was said of it, and it is not under way.
        self._reports: dict[Subject, Entry] = {}
        self._logs: dict[Subject, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def urgent(self) -> bool:
        """Whether one of them is not to wait for others."""
        return self._urgent > 0

    @property
    def has_room(self) -> bool:
        """Whether a new job may be begun, or another line be written."""
        return len(self._entries) < LIMIT

    def put(self, entry: Entry) -> None:
        """Add an entry. What comes later of the same job is not mixed with what came before it."""
        self._reports.pop(entry.subject, None)
        self._entries.append(entry)
        self._urgent += entry.urgent

    def report(self, subject: Subject, fields: Mapping[str, Any], at: datetime) -> None:
        """Say something of a job that the next such report may overtake."""
        waiting = self._reports.get(subject)
        if waiting is None or waiting.taken:
            waiting = Entry(subject, "report", {}, at)
            self.put(waiting)
            self._reports[subject] = waiting
        waiting.body.update(fields)

    def log(self, subject: Subject, lines: Sequence[dict[str, Any]], at: datetime) -> None:
        """Add lines to a job's log."""
        waiting = self._logs.get(subject)
        if waiting is None or waiting.taken:
            if not self.has_room:
                return
            waiting = self._logs[subject] = Entry(subject, "log", {"lines": []}, at)
            self._entries.append(waiting)
        kept: list[dict[str, Any]] = waiting.body["lines"]
        kept.extend(lines)
        if len(kept) > LINES:
            waiting.left_out += len(kept) - LINES
            del kept[:-LINES]

    def take(self) -> list[Entry]:
        """The next entries that make one request; they stay here until they are ``done``."""
        taken: list[Entry] = []
        size = 0
        for entry in self._entries:
            alone = entry.kind != "report" or entry.subject.id is None or entry.tries > 0
            if taken and (alone or len(taken) == AT_ONCE or size + entry.size > BYTES_AT_ONCE):
                break
            entry.taken = True
            taken.append(entry)
            size += entry.size
            if alone:
                break
        return taken

    def done(self, entries: Sequence[Entry]) -> None:
        """Forget entries that were answered: the first ones, as they were taken."""
        for entry in entries:
            if self._entries and self._entries[0] is entry:
                self._entries.popleft()
                self._urgent -= entry.urgent
                for growing in (self._reports, self._logs):
                    if growing.get(entry.subject) is entry:
                        del growing[entry.subject]

    def again(self, entry: Entry) -> None:
        """Put an entry back before all others."""
        self._entries.appendleft(entry)
        self._urgent += entry.urgent

    def drop(self, subject: Subject) -> None:
        """Forget whatever waits of a job."""
        self._entries = deque(entry for entry in self._entries if entry.subject is not subject)
        self._urgent = sum(entry.urgent for entry in self._entries)
        self._reports.pop(subject, None)
        self._logs.pop(subject, None)


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(timezone.utc)


def as_text(moment: datetime) -> str:
    """A moment as the board reads it."""
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
