"""The one thread that speaks to the board for all jobs of a client: in order, not too often, again and again."""

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from callboard_client.errors import (
    BoardRefused,
    BoardUnreachable,
    CallboardError,
    JobConflict,
    JobNotFound,
    JobStopped,
    Unauthorized,
)
from callboard_client.http import Board, judged
from callboard_client.outbox import Entry, Outbox, Subject, as_text, now
from callboard_client.record import JobRecord
from callboard_client.spool import Spool

log = logging.getLogger("callboard_client")

INTERVAL = 0.5
"""Seconds between two requests, unless one of them starts or ends a job."""
PATIENCE = 5.0
"""Seconds that a job waits at its start and at its end for the board, as long as the board was there before."""
AWAY_AFTER = 1.5
"""Seconds of failures after which the board counts as away, and nobody waits for it any more."""
LATE = 2.0
"""Seconds after which a report tells when it happened; before that the board's own clock is the better one."""
BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds from one failure to the next try."""
REFUSED_AGAIN = 60.0
"""Seconds to the next try after the token was refused."""
TRIES = 5
"""With so many internal errors in a row it is the report that the board cannot digest."""


class Sender:
    """Keeps what is to be told, and tells it. The thread starts with the first thing to tell."""

    def __init__(self, board: Board, *, interval: float = INTERVAL, spool: Spool | None = None) -> None:
        self._board = board
        self._interval = interval
        self._spool = spool
        self._begin()
        _senders.add(self)

    def _begin(self) -> None:
        self._turn = threading.Condition()
        self._outbox = Outbox()
        self._beating: dict[Subject, float] = {}
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._failing_since: float | None = None
        self._refused = False
        self._next_try = 0.0
        self._sent_at = 0.0
        self._closing = False
        self._closed = False

    # --- what jobs ask of it -------------------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        """Whether the board has been away for so long that nobody waits for it."""
        since = self._failing_since
        return self._refused or (since is not None and time.monotonic() - since >= AWAY_AFTER)

    def tell(self, entry: Entry, *, wait: float = PATIENCE) -> JobRecord | CallboardError | None:
        """Put an entry in line and wait for its answer; null when the board is away, for then it is told later."""
        with self._turn:
            if entry.subject.untold:
                return None
            if self._closed or (entry.kind == "create" and not self._outbox.has_room):
                entry.subject.untold = True
                log.warning(
                    "A job is not told to the board: %s.", "the client is closed" if self._closed else "too much waits"
                )
                return None
            self._outbox.put(entry)
            entry.subject.spoken = time.monotonic()
            if self.away:
                self._keep([entry])
            self._wake()
            self._turn.wait_for(lambda: entry.answered or entry.subject.untold or self.away, wait)
            return entry.outcome

    def report(self, subject: Subject, fields: Mapping[str, Any]) -> None:
        """Say something that the next report of the same job may overtake. Returns at once."""
        with self._turn:
            if not (subject.untold or subject.stop or self._closed):
                idle = not self._outbox
                self._outbox.report(subject, fields, now())
                if idle:
                    self._wake()

    def log(self, subject: Subject, lines: Sequence[dict[str, Any]]) -> None:
        """Add lines to a job's log. Returns at once."""
        with self._turn:
            if not (subject.untold or self._closed):
                idle = not self._outbox
                self._outbox.log(subject, lines, now())
                # Otherwise the thread waits for the moment of its next request already.
                if idle:
                    self._wake()

    def beat(self, subject: Subject, every: float) -> None:
        """Let the board hear of a job at least so often, in seconds."""
        with self._turn:
            self._beating[subject] = every
            self._wake()

    def rest(self, subject: Subject) -> None:
        """No longer."""
        with self._turn:
            self._beating.pop(subject, None)

    def flush(self, wait: float = PATIENCE) -> bool:
        """Wait until everything is told, unless the board is away; whether it is."""
        with self._turn:
            self._closing = True
            self._wake()
            self._turn.wait_for(lambda: not self._outbox or self.away, wait)
            self._closing = self._closed
            return not self._outbox

    def close(self, wait: float = PATIENCE) -> None:
        """Tell what can be told within so many seconds, and end the thread. What is left stays in the spool, if any."""
        if self._closed:
            return
        self.flush(wait)
        with self._turn:
            self._closed = self._closing = True
            left = len(self._outbox)
            if left:
                self._keep(self._outbox)
            self._turn.notify_all()
        if self._spool:
            self._spool.close(empty=not left)
        if left:
            log.warning(
                "The board was not told %d reports: they %s.", left, "wait in the spool" if self._spool else "are lost"
            )

    # --- the thread ----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="callboard", daemon=True)
            self._thread.start()
        self._turn.notify_all()

    def _run(self) -> None:
        self._adopt()
        while (entries := self._next()) is not None:
            try:
                heard = self._send(entries)
            except Exception:
                log.exception("A report to the board failed in this client; it is left out.")
                heard = []
                with self._turn:
                    self._outbox.done(entries)
                    for entry in entries:
                        entry.answered = True
                    self._turn.notify_all()
            for hear, stop in heard:
                try:
                    hear(stop)
                except Exception:
                    log.exception("What was to happen on a cancel failed.")

    def _next(self) -> list[Entry] | None:
        with self._turn:
            while True:
                self._put_heartbeats()
                wait = self._seconds_to_wait()
                if wait is not None and wait <= 0:
                    return self._outbox.take()
                if self._closed:
                    return None
                self._turn.wait(wait)

    def _seconds_to_wait(self) -> float | None:
        moment = time.monotonic()
        if self._closed:
            return None
        if self._outbox:
            soon = self._sent_at if self._outbox.urgent or self._closing else self._sent_at + self._interval
            return max(soon, self._next_try) - moment
        due = [subject.spoken + every for subject, every in self._beating.items()]
        return max(min(due) - moment, 0.0) if due else None

    def _put_heartbeats(self) -> None:
        moment = time.monotonic()
        for subject, every in self._beating.items():
            if moment - subject.spoken >= every:
                subject.spoken = moment
                # What waits says as much.
                if not self._outbox and not subject.stop:
                    self._outbox.report(subject, {}, now())

    def _send(self, entries: Sequence[Entry]) -> list[tuple[Callable[[JobStopped], object], JobStopped]]:
        """Ask the board, and note what it said; who is to hear that its job is to stop."""
        asked_at = time.monotonic()
        answers: list[JobRecord | BoardRefused | None]
        try:
            answers = list(self._ask(entries))
        except (BoardUnreachable, Unauthorized) as error:
            self._failed(entries, error, asked_at)
            return []
        except BoardRefused as refusal:
            answers = [refusal]
        with self._turn:
            recovered = self._failing_since is not None
            self._failures, self._failing_since, self._refused = 0, None, False
            self._sent_at = time.monotonic()
            self._outbox.done(entries)
            stops = [stop for entry, answer in zip(entries, answers, strict=True) for stop in self._note(entry, answer)]
            if self._spool and not self._outbox:
                self._spool.clear()
            self._turn.notify_all()
        if recovered:
            log.info("The board is there again.")
            self._adopt()
        return stops

    def _ask(self, entries: Sequence[Entry]) -> Iterator[JobRecord | BoardRefused | None]:
        first = entries[0]
        if first.kind == "create":
            yield JobRecord.from_json(self._board.call("POST", "/jobs", _dated(first), key=first.key))
        elif first.kind == "log":
            lines = first.body["lines"]
            if first.left_out:
                gone = {"text": f"… {first.left_out:,} lines left out …", "level": "warning", "at": lines[0]["at"]}
                lines = [gone, *lines[1:]]
            first.key = first.key or first.subject.name + as_text(first.at)
            self._board.call("POST", f"/jobs/{first.subject.id}/logs", {"lines": lines}, key=first.key)
            yield None
        elif len(entries) == 1:
            yield JobRecord.from_json(self._board.call("PATCH", f"/jobs/{first.subject.id}", _dated(first)))
        else:
            reports = [{"id": entry.subject.id, **_dated(entry)} for entry in entries]
            for each in self._board.call("POST", "/jobs/batch", {"data": reports})["data"]:
                yield JobRecord.from_json(each["job"]) if each.get("job") else judged(each["problem"])

    def _note(
        self, entry: Entry, answer: JobRecord | BoardRefused | None
    ) -> Iterator[tuple[Callable[[JobStopped], object], JobStopped]]:
        subject = entry.subject
        entry.outcome, entry.answered = answer, True
        if answer is None:
            return
        if isinstance(answer, JobRecord):
            subject.id = answer.id
        elif isinstance(answer, JobStopped):
            if subject.stop is None:
                subject.stop = answer
                yield from ((hear, answer) for hear in subject.on_stop)
        elif isinstance(answer, JobConflict):
            log.info("The board did not take a report of job %s: %s", subject.id, answer)
        elif entry.kind == "report" and answer.status in (413, 422) and (kept := _without_what_may_be_wrong(entry)):
            log.warning("The board refused what job %s said, which is left out: %s", subject.id, answer)
            entry.body, entry.answered, entry.tries = kept, False, 1
            self._outbox.again(entry)
        else:
            log.warning("The board refused a report: %s", answer)
            if entry.kind == "create" or isinstance(answer, JobNotFound):
                subject.untold = True
                self._outbox.drop(subject)

    def _failed(self, entries: Sequence[Entry], error: BoardUnreachable | Unauthorized, asked_at: float) -> None:
        with self._turn:
            if self._failing_since is None:
                self._failing_since = asked_at
                log.warning("The board cannot be told, jobs go on and reports wait: %s", error)
            self._refused = isinstance(error, Unauthorized)
            wait = BACKOFF[min(self._failures, len(BACKOFF) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311
            if isinstance(error, BoardUnreachable) and error.retry_after is not None:
                wait = max(wait, min(error.retry_after, BACKOFF[-1]))
            self._next_try = time.monotonic() + (REFUSED_AGAIN if self._refused else wait)
            self._failures += 1
            for entry in entries:
                entry.taken = entry.kind == "log"
                if isinstance(error, BoardUnreachable) and error.status == 500:
                    entry.tries += 1
            if entries[0].tries >= TRIES:
                log.warning("A report was left out: the board had an internal error %d times.", TRIES)
                self._outbox.done(entries[:1])
                entries[0].answered = True
            self._keep(self._outbox)
            self._turn.notify_all()

    # --- the spool -----------------------------------------------------------------------------------------------

    def _keep(self, entries: "Sequence[Entry] | Outbox") -> None:
        """Write down what must not be lost with this process: a report that the next one overtakes may be."""
        if self._spool is None:
            return
        try:
            self._spool.keep(entry for entry in entries if entry.kind != "report" or "status" in entry.body)
        except Exception:
            log.warning("The spool cannot be written, reports wait in memory alone.", exc_info=True)
            self._spool = None

    def _adopt(self) -> None:
        if self._spool is None:
            return
        with self._turn:
            try:
                left = self._spool.left_behind()
            except Exception:
                log.warning("The spool cannot be read.", exc_info=True)
                return
            for entry in left:
                self._outbox.put(entry)


def _dated(entry: Entry) -> dict[str, Any]:
    """The body with the moment it tells of, if that is long gone. Only what moves a job has one."""
    tells_a_move = entry.kind == "create" or "status" in entry.body
    late = tells_a_move and (now() - entry.at).total_seconds() > LATE
    return {**entry.body, "occurred_at": as_text(entry.at)} if late else entry.body


def _without_what_may_be_wrong(entry: Entry) -> dict[str, Any] | None:
    kept = {name: value for name, value in entry.body.items() if name in ("status", "progress")}
    return kept if "status" in kept and kept != entry.body else None


_senders: "weakref.WeakSet[Sender]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for sender in list(_senders):
        sender.close()


def _after_fork() -> None:
    """A child has neither its parent's thread nor what its parent is about to tell."""
    for sender in _senders:
        sender._board.reopen()
        sender._begin()
        if sender._spool:
            sender._spool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
