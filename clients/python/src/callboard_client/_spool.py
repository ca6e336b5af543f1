"""What could not be told yet, on disk: it outlives the process, and the next one sends it.

Each process has a file of its own in the folder and keeps it locked as long as it lives; a file that nobody holds is
what a dead process left behind. Boards and tokens have folders of their own.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from callboard_client._outbox import LIMIT, Entry, Subject, as_text

try:
    import fcntl
except ImportError:  # pragma: no cover - only where there is no POSIX
    fcntl = None  # type: ignore[assignment]

LARGE = 1_000_000
"""Bytes from which on a file is written anew once most of it was told."""


class Spool:
    """A folder for what waits. One of these belongs to one process."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        if fcntl is None:  # pragma: no cover
            raise OSError("A spool on disk needs locks that this system does not have.")
        # What one workspace could not be told is no other's business.
        self._folder = folder / hashlib.sha256(f"{url} {token}".encode("utf-8", "replace")).hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: IO[bytes] | None = None
        self._written = 0
        self._adopted: dict[Path, tuple[IO[bytes], set[Entry]]] = {}

    def keep(self, entries: Iterable[Entry]) -> None:
        """Write down entries that are not there yet; they cannot grow any more. Raises ``OSError``, and keeps none."""
        fresh = [entry for entry in entries if not entry.kept]
        if not fresh:
            return
        file = self._own()
        try:
            lines = b"".join(json.dumps(_line(entry)).encode() + b"\n" for entry in fresh)
            while lines:
                lines = lines[file.write(lines) :]
            os.fsync(file.fileno())
        except OSError:
            # Half a line would cost the one that is written after it.
            file.truncate(self._written)
            file.seek(self._written)
            raise
        self._written = file.tell()
        for entry in fresh:
            entry.kept = entry.taken = True

    def told(self, entries: Iterable[Entry], waiting: Sequence[Entry]) -> None:
        """Forget entries that were told. ``waiting`` is what was not, written anew when little is left of much."""
        for entry in entries:
            if entry.left_in in self._adopted:
                file, left = self._adopted[entry.left_in]
                left.discard(entry)
                if not left:
                    self._remove(entry.left_in, file)
        still = [entry for entry in waiting if entry.kept and entry.left_in is None]
        if self._file is not None and self._written and (not still or self._written > LARGE):
            self._file.seek(0)
            self._file.truncate()
            self._written = 0
            for entry in still:
                entry.kept = False
            self.keep(still)

    def left_behind(self) -> Sequence[Entry]:
        """What dead processes left. Their files stay locked here, and go when all in them was told."""
        found: list[Entry] = []
        for path in sorted(self._folder.glob("*.jsonl")):
            if path in self._adopted or (self._file is not None and path == Path(self._file.name)):
                continue
            with suppress(OSError):
                file = path.open("r+b")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    file.close()
                    continue
                entries = [] if _is_gone(file) else _read(file, path)
                self._adopted[path] = file, set(entries)
                found += entries
                if not entries:
                    self._remove(path, file)
        return found[:LIMIT]

    def forget(self) -> None:
        """In the child of a fork: the files are the parent's."""
        for file, _ in self._adopted.values():
            file.close()
        self._adopted.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
            self._written = 0

    def close(self, *, empty: bool) -> None:
        """Give the files up; an ``empty`` one is removed."""
        if self._file is not None and empty:
            with suppress(OSError):
                Path(self._file.name).unlink()
        self.forget()

    def _remove(self, path: Path, file: IO[bytes]) -> None:
        if not _is_gone(file):
            with suppress(OSError):
                path.unlink()
        file.close()
        self._adopted.pop(path, None)

    def _own(self) -> IO[bytes]:
        while self._file is None:
            path = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
            # Without a buffer: after an error nothing is left that would be written later.
            file = open(path, "x+b", buffering=0, opener=_for_us_alone)  # noqa: SIM115 - Path has no opener
            fcntl.flock(file, fcntl.LOCK_EX)
            # Before it was locked it looked left behind, and somebody may have removed it.
            if not _is_gone(file):
                self._file = file
        return self._file


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_gone(file: IO[bytes]) -> bool:
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


def _read(file: IO[bytes], path: Path) -> list[Entry]:
    subjects: dict[str, Subject] = {}
    entries = []
    for line in file:
        # The last line of a process that was killed may be torn.
        with suppress(ValueError, KeyError, TypeError):
            kept = json.loads(line)
            subject = subjects.setdefault(kept["job"], Subject(id=kept["id"], name=kept["job"]))
            at = datetime.fromisoformat(kept["at"].replace("Z", "+00:00"))
            entry = Entry(subject, kept["kind"], kept["body"], at, kept["key"], kept=True, left_in=path)
            entries.append(entry)
    return entries
