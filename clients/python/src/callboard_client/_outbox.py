"""What the board has not been told yet: in order, without what is outdated, within bounds."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from callboard_client.errors import CallboardError, JobStopped
from callboard_client.record import JobRecord

LIMIT = 10_000
"""Entries that wait. When so many do, new jobs and lines of logs are left out; what was begun is told to its end."""
LINES = 499
"""Lines of one job's log that wait, which with one that tells of others is what the board takes at once."""
LINE_LIMIT = 4_000
"""Characters of one line."""
AT_ONCE = 100
"""Reports in one request."""
BYTES_AT_ONCE = 400_000
"""Of results and errors, or of lines, in one request; the board takes a MiB."""

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
    parent: Subject | None = None
    """The job that this one belongs to, where that had no id yet."""
    urgent: bool = False
    kept: bool = False
    """Whether it is in the spool."""
    left_in: Path | None = None
    """The file of a dead process that it was found in."""
    tries: int = 0
    """How often it went wrong; one that did goes alone."""
    taken: bool = False
    """Whether it is under way or written down, and cannot grow any more."""
    outcome: JobRecord | CallboardError | None = None
    answered: bool = False
    omitted: int = 0
    """Lines of a log that were too many."""
    size: int = 0
    """Bytes of the lines of a log."""


class Outbox:
    """Entries in the order in which they came. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._entries: dict[Entry, None] = {}
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
        self._entries[entry] = None
        self._urgent += entry.urgent

    def report(self, subject: Subject, fields: Mapping[str, Any], at: datetime) -> None:
        """Say something of a job that the next such report may overtake."""
        waiting = self._reports.get(subject)
        if waiting is None or waiting.taken:
            waiting = Entry(subject, "report", {}, at)
            self.put(waiting)
            self._reports[subject] = waiting
        waiting.body.update(fields)

    def log(self, subject: Subject, lines: Sequence[dict[str, Any]], at: datetime, omitted: int = 0) -> None:
        """Add lines to a job's log, of which so many more were left out."""
        waiting = self._logs.get(subject)
        if waiting is None or waiting.taken:
            if not self.has_room:
                return
            waiting = self._logs[subject] = Entry(subject, "log", {"lines": []}, at)
            self._entries[waiting] = None
        kept: list[dict[str, Any]] = waiting.body["lines"]
        for line in lines[-LINES:]:
            kept.append({**line, "text": line["text"][:LINE_LIMIT]})
            waiting.size += _size(kept[-1])
        waiting.omitted += omitted + max(0, len(lines) - LINES)
        gone = 0
        while len(kept) - gone > LINES or waiting.size > BYTES_AT_ONCE:
            waiting.size -= _size(kept[gone])
            gone += 1
        waiting.omitted += gone
        del kept[:gone]

    def take(self) -> list[Entry]:
        """The next entries that make one request; they stay here until they are ``done``.

        Reports go together, past what of other jobs goes alone; of each job everything goes in its order.
        """
        taken: list[Entry] = []
        passed: set[Subject] = set()
        size = 0
        for entry in self._entries:
            alone = entry.kind != "report" or entry.subject.id is None or entry.tries > 0
            if not taken and alone:
                entry.taken = True
                return [entry]
            if alone or entry.subject in passed:
                passed.add(entry.subject)
                continue
            size += 200 + (_size(entry.body) if "status" in entry.body or "result" in entry.body else 0)
            if taken and size > BYTES_AT_ONCE:
                break
            entry.taken = True
            taken.append(entry)
            if len(taken) == AT_ONCE:
                break
        return taken

    def done(self, entries: Sequence[Entry]) -> None:
        """Forget entries."""
        for entry in entries:
            if entry in self._entries:
                del self._entries[entry]
                self._urgent -= entry.urgent
                for growing in (self._reports, self._logs):
                    if growing.get(entry.subject) is entry:
                        del growing[entry.subject]

    def again(self, entry: Entry) -> None:
        """Put an entry back before all others."""
        self._entries = {entry: None, **self._entries}
        self._urgent += entry.urgent

    def drop(self, subject: Subject) -> None:
        """Forget whatever waits of a job."""
        self.done([entry for entry in self._entries if entry.subject is subject])


def _size(value: object) -> int:
    """Bytes of its JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode())


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(timezone.utc)


def as_text(moment: datetime) -> str:
    """A moment as the board reads it."""
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
