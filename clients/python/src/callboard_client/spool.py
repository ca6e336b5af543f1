"""What could not be told yet, on disk: it outlives the process, and the next one sends it.

Each process has a file of its own in the folder and keeps it locked as long as it lives; a file that nobody holds is
what a dead process left behind.
"""

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from callboard_client.outbox import Entry, Subject, as_text

try:
    import fcntl
except ImportError:  # pragma: no cover - only where there is no POSIX
    fcntl = None  # type: ignore[assignment]


class Spool:
    """A folder for what waits. One of these belongs to one process."""

    def __init__(self, folder: Path) -> None:
        if fcntl is None:  # pragma: no cover
            raise OSError("A spool on disk needs locks that this system does not have.")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: IO[str] | None = None

    def keep(self, entries: Iterable[Entry]) -> None:
        """Write down entries that are not there yet. Raises ``OSError``."""
        fresh = [entry for entry in entries if not entry.kept]
        if not fresh:
            return
        file = self._own()
        file.write("".join(f"{json.dumps(_line(entry), ensure_ascii=False)}\n" for entry in fresh))
        file.flush()
        os.fsync(file.fileno())
        for entry in fresh:
            entry.kept = True

    def clear(self) -> None:
        """Forget what was written: all of it was told."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    def left_behind(self) -> Sequence[Entry]:
        """What dead processes left, which is this one's from now on: kept here first, and then removed there."""
        found: list[Entry] = []
        for path in sorted(self._folder.glob("*.jsonl")):
            if self._file is not None and path.name == Path(self._file.name).name:
                continue
            with suppress(OSError), path.open("r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_gone(file):
                    continue
                entries = _read(file)
                self.keep(entries)
                path.unlink()
                found += entries
        return found

    def _own(self) -> IO[str]:
        while self._file is None:
            path = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
            file = open(path, "x+", encoding="utf-8", opener=_for_us_alone)  # noqa: SIM115 - Path has no opener
            fcntl.flock(file, fcntl.LOCK_EX)
            # Before it was locked it looked left behind, and somebody may have removed it.
            if not _is_gone(file):
                self._file = file
        return self._file

    def forget(self) -> None:
        """In the child of a fork: the file is the parent's."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self, *, empty: bool) -> None:
        """Give the file up; an ``empty`` one is removed."""
        if self._file is not None:
            if empty:
                with suppress(OSError):
                    Path(self._file.name).unlink()
            self._file.close()
            self._file = None


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_gone(file: IO[str]) -> bool:
    return os.fstat(file.fileno()).st_nlink == 0


def _line(entry: Entry) -> dict[str, Any]:
    return {
        "job": entry.subject.name,
        "id": entry.subject.id,
        "kind": entry.kind,
        "body": entry.body,
        "at": as_text(entry.at),
        "key": entry.key,
    }


def _read(file: IO[str]) -> list[Entry]:
    subjects: dict[str, Subject] = {}
    entries = []
    for line in file:
        # The last line of a process that was killed may be torn.
        with suppress(ValueError, KeyError, TypeError):
            kept = json.loads(line)
            subject = subjects.setdefault(kept["job"], Subject(id=kept["id"], name=kept["job"]))
            at = datetime.fromisoformat(kept["at"].replace("Z", "+00:00"))
            entries.append(Entry(subject, kept["kind"], kept["body"], at, kept["key"]))
    return entries
