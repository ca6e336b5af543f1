"""Keep on disk what could not be sent yet: it outlives the process, and the next one sends it.

Each process has a file of its own in the folder and keeps it locked as long as it lives; a file that nobody locks is
what a dead process left behind. Boards and tokens have folders of their own.
"""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from callboard_client._clock import format_time, parse_time
from callboard_client._outbox import MAX_ENTRIES, Entry, TrackedJob

try:
    import fcntl
except ImportError:  # pragma: no cover - only where there is no POSIX
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("callboard_client")

REWRITE_SIZE = 1_000_000
"""Bytes from which on a file is written anew once most of it was sent."""


class Spool:
    """Keep the entries of one process in a folder; without a folder it keeps nothing. Failures are logged."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._size = 0
        self._adopted: dict[Path, tuple[IO[bytes], set[Entry]]] = {}
        self._failing = False

    @property
    def is_complete(self) -> bool:
        """Whether all that was to be written is on disk."""
        return self._folder is not None and not self._failing

    def write(self, entries: Iterable[Entry]) -> None:
        """Write down entries that must not be lost with this process; they cannot grow any more."""
        if self._folder is None:
            return
        try:
            self._append([entry for entry in entries if _must_last(entry)])
            self._failing = False
        except Exception as error:
            if not self._failing:
                log.warning("The spool cannot be written; reports wait in memory alone: %s", error)
            self._failing = True

    def remove(self, entries: Iterable[Entry], waiting: Iterable[Entry]) -> None:
        """Remove entries that were sent. What is ``waiting`` is written anew when little is left of much."""
        if self._folder is None:
            return
        try:
            self._remove_adopted(entries)
            self._compact([entry for entry in waiting if entry.in_spool and entry.spool_file is None])
        except Exception as error:
            log.warning("The spool cannot be written: %s", error)

    def read_abandoned(self) -> Sequence[Entry]:
        """Read what dead processes left. Their files stay locked here, and are removed when all in them was sent."""
        entries: list[Entry] = []
        if self._folder is None:
            return entries
        try:
            for path in sorted(self._folder.glob("*.jsonl")):
                if path not in self._adopted and (self._file is None or path != Path(self._file.name)):
                    entries += self._adopt(path)
        except Exception as error:
            log.warning("The spool cannot be read: %s", error)
        return entries[:MAX_ENTRIES]

    def release(self) -> None:
        """Give the files up, as the child of a fork must: they are its parent's."""
        for file, _ in self._adopted.values():
            file.close()
        self._adopted.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
            self._size = 0

    def close(self, *, empty: bool) -> None:
        """Give the files up; an ``empty`` one is removed."""
        if self._file is not None and empty:
            with suppress(OSError):
                Path(self._file.name).unlink()
        self.release()

    def _append(self, entries: Iterable[Entry]) -> None:
        """Write entries that are not there yet. Raises ``OSError``, and then writes none of them."""
        new = [entry for entry in entries if not entry.in_spool]
        if not new:
            return
        file = self._own_file()
        try:
            rest = b"".join(json.dumps(_to_json(entry)).encode() + b"\n" for entry in new)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            # Half a line would cost the one that is written after it.
            file.truncate(self._size)
            file.seek(self._size)
            raise
        self._size = file.tell()
        for entry in new:
            entry.in_spool = entry.frozen = True

    def _compact(self, waiting: Sequence[Entry]) -> None:
        if self._file is not None and self._size and (not waiting or self._size > REWRITE_SIZE):
            self._file.seek(0)
            self._file.truncate()
            self._size = 0
            for entry in waiting:
                entry.in_spool = False
            self._append(waiting)

    def _adopt(self, path: Path) -> list[Entry]:
        with suppress(OSError):
            file = path.open("r+b")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return []
            entries = [] if _is_removed(file) else _read(file, path)
            self._adopted[path] = file, set(entries)
            if not entries:
                self._remove_file(path, file)
            return entries
        return []

    def _remove_adopted(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.spool_file in self._adopted:
                file, unsent = self._adopted[entry.spool_file]
                unsent.discard(entry)
                if not unsent:
                    self._remove_file(entry.spool_file, file)

    def _remove_file(self, path: Path, file: IO[bytes]) -> None:
        if not _is_removed(file):
            with suppress(OSError):
                path.unlink()
        file.close()
        self._adopted.pop(path, None)

    def _own_file(self) -> IO[bytes]:
        assert self._folder is not None
        while self._file is None:
            path = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
            # Without a buffer: after an error nothing is left that would be written later.
            file = open(path, "x+b", buffering=0, opener=_open_private)  # noqa: SIM115 - Path has no opener
            fcntl.flock(file, fcntl.LOCK_EX)
            # Before it was locked it looked abandoned, and another process may have removed it.
            if not _is_removed(file):
                self._file = file
        return self._file


def open_spool(folder: Path, url: str, token: str) -> Spool:
    """Create the folder for a board and a token, and return its spool. Raises ``OSError``."""
    if fcntl is None:  # pragma: no cover
        raise OSError("A spool on disk needs locks that this system does not have.")
    # What one workspace was not sent is not for another one to see.
    own = folder / hashlib.sha256(f"{url} {token}".encode("utf-8", "replace")).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Spool(own)


def _must_last(entry: Entry) -> bool:
    # What only tells how far a job is, the next report replaces.
    return entry.kind != "report" or bool(entry.body.keys() - {"progress", "message", "runner", "occurred_at"})


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_removed(file: IO[bytes]) -> bool:
    return os.fstat(file.fileno()).st_nlink == 0


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "job": entry.job.local_id,
        "id": entry.job.id,
        "kind": entry.kind,
        "body": entry.body,
        "at": format_time(entry.at),
        "key": entry.key,
    }


def _read(file: IO[bytes], path: Path) -> list[Entry]:
    jobs: dict[str, TrackedJob] = {}
    entries = []
    for line in file:
        # The last line of a process that was killed may be torn.
        with suppress(ValueError, KeyError, TypeError):
            stored = json.loads(line)
            job = jobs.setdefault(stored["job"], TrackedJob(id=stored["id"], local_id=stored["job"]))
            at = parse_time(stored["at"])
            entry = Entry(job, stored["kind"], stored["body"], at, stored["key"], in_spool=True, spool_file=path)
            entries.append(entry)
    return entries
