"""The one thread that speaks to the board for all jobs of a client: in order, not too often, again and again."""

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from callboard_client._outbox import Entry, Outbox, Subject, as_text, now
from callboard_client._spool import Spool
from callboard_client._transport import Board, judged, path_of, record_of
from callboard_client.errors import (
    BoardRefused,
    BoardUnreachable,
    CallboardError,
    JobConflict,
    JobNotFound,
    JobStopped,
    Unauthorized,
)
from callboard_client.record import JobRecord

log = logging.getLogger("callboard_client")

INTERVAL = 0.5
"""Seconds from one round of requests to the next, unless one of them starts or ends a job."""
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
TRIES = 4
"""With so many internal errors in a row it is the report that the board cannot digest."""
STEP = 0.1
"""Seconds after which somebody who waits looks whether it is still worth it."""

Answer = JobRecord | BoardRefused | None
"""What became of an entry; null for lines of a log, of which nothing is told."""
Heard = tuple[Callable[[JobStopped], object], JobStopped]


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
        self._asking_since: float | None = None
        self._refused = False
        self._unwritten = False
        self._next_try = 0.0
        self._next_round = 0.0
        self._of_this_round = 0
        self._closing = False
        self._closed = False
        self.why: CallboardError | None = None
        """What was wrong when the board could last not be told."""

    # --- what jobs ask of it -------------------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        """Whether the board has been away for so long that nobody waits for it."""
        moment = time.monotonic()
        if self._asking_since is not None and moment - self._asking_since >= PATIENCE:
            return True
        return self._refused or (self._failing_since is not None and moment - self._failing_since >= AWAY_AFTER)

    def tell(self, entry: Entry, *, wait: float = PATIENCE) -> JobRecord | CallboardError | None:
        """Put an entry in line and wait for its answer; null when the board is away, for then it is told later."""
        with self._turn:
            if entry.subject.untold:
                return None
            if self._closed or (entry.kind == "create" and not self._outbox.has_room):
                entry.subject.untold = True
                why = "the client is closed" if self._closed else "too much waits already"
                log.warning("A job is not told to the board: %s.", why)
                return None
            self._outbox.put(entry)
            entry.subject.spoken = time.monotonic()
            if self.away:
                self._keep([entry])
            self._wait_until(lambda: entry.answered or entry.subject.untold, wait if self._wake() else 0)
            return entry.outcome

    def report(self, subject: Subject, fields: Mapping[str, Any]) -> None:
        """Say something that the next report of the same job may overtake. Returns at once."""
        with self._turn:
            if not (subject.untold or subject.stop or self._closed):
                idle = not self._outbox
                self._outbox.report(subject, fields, now())
                # Otherwise the thread waits for the moment of its next request already.
                if idle:
                    self._wake()

    def log(self, subject: Subject, lines: Sequence[dict[str, Any]], omitted: int = 0) -> None:
        """Add lines to a job's log, of which so many more were left out. Returns at once."""
        with self._turn:
            if not (subject.untold or self._closed):
                idle = not self._outbox
                self._outbox.log(subject, lines, now(), omitted)
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

    def on_stop(self, subject: Subject, hear: Callable[[JobStopped], object]) -> JobStopped | None:
        """Call this when the board says that the job is to stop; what it said, if it has said so already."""
        with self._turn:
            if subject.stop is None:
                subject.on_stop.append(hear)
            return subject.stop

    def abandon(self, subject: Subject) -> None:
        """Say nothing more of a job, nor what waits of it."""
        with self._turn:
            self._untold(subject)

    def flush(self, wait: float = PATIENCE) -> bool:
        """Wait until everything is told, unless the board is away; whether it is."""
        with self._turn:
            self._closing = True
            self._wait_until(lambda: not self._outbox, wait if self._outbox and self._wake() else 0)
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
            where = "wait in the spool" if self._spool and not self._unwritten else "are lost"
            log.warning("The board was not told %d reports: they %s.", left, where)

    def _wait_until(self, done: Callable[[], bool], wait: float) -> None:
        """With the lock: let the thread work until it is done, for so many seconds, while the board is there."""
        deadline = time.monotonic() + wait
        while not (done() or self.away) and (left := deadline - time.monotonic()) > 0:
            self._turn.wait(min(left, STEP))

    # --- the thread ----------------------------------------------------------------------------------------------

    def _wake(self) -> bool:
        """Let the thread look what there is to do; whether there is one."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="callboard", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # At the end of the process, or where it may have no more of them. The next call tries again.
                log.warning("The board cannot be told now: %s.", error)
                return False
            self._thread = thread
        self._turn.notify_all()
        return True

    def _run(self) -> None:
        self._adopt()
        while (entries := self._next()) is not None:
            try:
                heard = self._send(entries)
            except Exception:
                log.exception("A report to the board failed in this client; it is left out.")
                heard = []
                with self._turn:
                    self._give_up(entries)
            for hear, stop in heard:
                try:
                    hear(stop)
                except Exception:
                    log.exception("What was to happen on a cancel failed.")

    def _next(self) -> list[Entry] | None:
        with self._turn:
            while not self._closed:
                moment = time.monotonic()
                self._put_heartbeats(moment)
                wait = self._seconds_to_wait(moment)
                if wait is not None and wait <= 0 and (taken := self._outbox.take()):
                    self._asking_since = time.monotonic()
                    return taken
                self._turn.wait(wait if wait is None else max(wait, 0.001))
            return None

    def _seconds_to_wait(self, moment: float) -> float | None:
        if self._outbox:
            if moment >= self._next_round and self._of_this_round <= 0:
                # What waits now is told without a pause, in however many requests.
                self._of_this_round = len(self._outbox)
            at_once = self._of_this_round > 0 or self._outbox.urgent or self._closing
            return max(moment if at_once else self._next_round, self._next_try) - moment
        due = [subject.spoken + every for subject, every in self._beating.items()]
        return max(min(due) - moment, 0.0) if due else None

    def _put_heartbeats(self, moment: float) -> None:
        for subject, every in self._beating.items():
            if moment - subject.spoken >= every:
                subject.spoken = moment
                # To a board that is away it would be no news when it is there again.
                if not subject.stop and not (self._failing_since and self._outbox):
                    self._outbox.report(subject, {}, now())

    def _send(self, entries: Sequence[Entry]) -> list[Heard]:
        """Ask the board, and note what it said; who is to hear that its job is to stop."""
        asked_at = time.monotonic()
        answers: list[Answer]
        try:
            answers = self._ask(entries)
        except (BoardUnreachable, Unauthorized) as error:
            self._failed(entries, error, asked_at)
            return []
        except BoardRefused as refusal:
            if len(entries) > 1:
                self._each_alone(entries)
                return []
            answers = [refusal]
        with self._turn:
            recovered = self._failing_since is not None
            self._is_there()
            self._outbox.done(entries)
            self._asked(len(entries))
            stops = [stop for entry, answer in zip(entries, answers, strict=True) for stop in self._note(entry, answer)]
            self._forget([entry for entry in entries if entry.answered])
            self._turn.notify_all()
        if recovered:
            log.info("The board is there again.")
            self._adopt()
        return stops

    def _is_there(self) -> None:
        self._failures, self._failing_since, self._refused, self._next_try = 0, None, False, 0.0

    def _asked(self, count: int) -> None:
        self._asking_since = None
        # Something may have been dropped: what is not there any more makes nobody hurry.
        self._of_this_round = min(self._of_this_round - count, len(self._outbox))
        if self._of_this_round <= 0:
            self._next_round = time.monotonic() + self._interval

    def _ask(self, entries: Sequence[Entry]) -> list[Answer]:
        first = entries[0]
        path = path_of(first.subject.id)
        if first.kind == "create":
            return [self._board.job("POST", "/jobs", _dated(first), key=first.key)]
        if first.subject.id is None:
            return [JobNotFound(404, "not_found", "The job was never made.")]
        if first.kind == "log":
            lines = first.body["lines"]
            if first.omitted:
                told = f"… {first.omitted:,} lines left out …"
                lines = [{"text": told, "level": "warning", "at": lines[0]["at"]}, *lines]
            first.key = first.key or first.subject.name + as_text(first.at)
            self._board.call("POST", f"{path}/logs", {"lines": lines}, key=first.key)
            return [None]
        if len(entries) == 1:
            return [self._board.job("PATCH", path, _dated(first))]
        reports = [{"id": entry.subject.id, **_dated(entry)} for entry in entries]
        return _answers(self._board.call("POST", "/jobs/batch", {"data": reports}), len(entries))

    def _note(self, entry: Entry, answer: Answer) -> Iterator[Heard]:
        subject = entry.subject
        entry.outcome, entry.answered = answer, True
        if isinstance(answer, JobRecord):
            subject.id = answer.id
        elif isinstance(answer, JobStopped):
            if subject.stop is None:
                subject.stop = answer
                yield from ((hear, answer) for hear in subject.on_stop)
        elif isinstance(answer, JobConflict):
            log.warning("The board did not take a report of job %s: %s", subject.id, answer)
        elif answer is not None and (kept := _without_what_is_wrong(entry, answer)):
            log.warning("The board refused something of job %s, which is left out: %s", subject.id or "", answer)
            entry.body, entry.answered, entry.outcome, entry.tries = kept, False, None, 1
            self._outbox.again(entry)
        elif answer is not None:
            log.warning("The board refused a report: %s", answer)
            if entry.kind == "create" or isinstance(answer, JobNotFound):
                self._untold(subject)

    def _failed(self, entries: Sequence[Entry], error: BoardUnreachable | Unauthorized, asked_at: float) -> None:
        with self._turn:
            self.why = error
            internal = isinstance(error, BoardUnreachable) and error.status == 500
            if self._failing_since is None and not internal:
                self._failing_since = asked_at
                log.warning("The board cannot be told, jobs go on and reports wait: %s", error)
            self._refused = isinstance(error, Unauthorized)
            wait = BACKOFF[min(self._failures, len(BACKOFF) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311
            if isinstance(error, BoardUnreachable) and error.retry_after is not None:
                wait = max(wait, min(error.retry_after, BACKOFF[-1]))
            self._next_try = time.monotonic() + (REFUSED_AGAIN if self._refused else wait)
            self._failures += 1
            self._asked(0)
            for entry in entries:
                # Lines that may have arrived must not be other ones under the same key.
                entry.taken = entry.kept or entry.kind == "log"
                entry.tries += internal
            if entries[0].tries >= TRIES:
                log.warning("A report is left out: the board had an internal error %d times.", TRIES)
                self._failures = 0
                self._give_up(entries[:1])
            self._keep(self._outbox)
            self._turn.notify_all()

    def _each_alone(self, entries: Sequence[Entry]) -> None:
        """One of several reports is not understood: each is told by itself, so that it costs no other."""
        with self._turn:
            self._asked(0)
            for entry in entries:
                entry.tries = max(entry.tries, 1)

    def _give_up(self, entries: Sequence[Entry]) -> None:
        self._asked(0)
        if len(entries) > 1:
            self._each_alone(entries)
            return
        (entry,) = entries
        self._outbox.done(entries)
        entry.answered = True
        if entry.kind == "create":
            self._untold(entry.subject)
        self._forget(entries)
        self._turn.notify_all()

    def _untold(self, subject: Subject) -> None:
        subject.untold = True
        self._beating.pop(subject, None)
        self._outbox.drop(subject)
        if not self._outbox:
            # Nobody asks any more whether the board is there again: the next to come finds out.
            self._is_there()

    # --- the spool -----------------------------------------------------------------------------------------------

    def _keep(self, entries: Iterable[Entry]) -> None:
        """Write down what must not be lost with this process: a report that the next one overtakes may be."""
        if self._spool is None:
            return
        try:
            self._spool.keep([entry for entry in entries if _matters(entry)])
            self._unwritten = False
        except Exception as error:
            if not self._unwritten:
                log.warning("The spool cannot be written, reports wait in memory alone: %s", error)
            self._unwritten = True

    def _forget(self, entries: Sequence[Entry]) -> None:
        if self._spool is None:
            return
        try:
            self._spool.told(entries, list(self._outbox))
        except Exception as error:
            log.warning("The spool cannot be written: %s", error)

    def _adopt(self) -> None:
        if self._spool is None:
            return
        try:
            left = self._spool.left_behind()
        except Exception as error:
            log.warning("The spool cannot be read: %s", error)
            return
        with self._turn:
            for entry in left:
                self._outbox.put(entry)

    def after_fork(self) -> None:
        """A child has neither its parent's thread nor what its parent is about to tell."""
        self._board.reopen()
        self._begin()
        if self._spool:
            self._spool.forget()


def _answers(told: Any, count: int) -> list[Answer]:
    data = told.get("data") if isinstance(told, Mapping) else None
    if not isinstance(data, list) or len(data) != count or not all(isinstance(each, Mapping) for each in data):
        raise BoardUnreachable("What answers is not a board.")
    return [record_of(each["job"]) if each.get("job") else judged(each.get("problem")) for each in data]


def _dated(entry: Entry) -> dict[str, Any]:
    """The body with the moment it tells of, if that is long gone. Only what moves a job has one."""
    body = entry.body
    if entry.parent is not None and entry.parent.id is not None:
        body = {**body, "parent_id": entry.parent.id}
    tells_a_move = entry.kind == "create" or "status" in body
    late = tells_a_move and (now() - entry.at).total_seconds() > LATE
    return {**body, "occurred_at": as_text(entry.at)} if late else body


def _matters(entry: Entry) -> bool:
    return entry.kind != "report" or bool(entry.body.keys() & {"status", "result", "link"})


def _without_what_is_wrong(entry: Entry, refusal: BoardRefused) -> dict[str, Any] | None:
    """The body without the fields that the board does not take; null where nothing would be left to say, or gained."""
    if entry.kind == "log" or refusal.status not in (413, 422):
        return None
    wrong = {
        str(fault.get("pointer", "")).split("/")[1] for fault in refusal.faults if "/" in str(fault.get("pointer"))
    }
    wrong |= {"payload", "result", "error"} if refusal.status == 413 else set()
    kept = {name: value for name, value in entry.body.items() if name not in wrong}
    return kept if kept != entry.body and kept and not wrong & {"status", "type"} else None


_senders: "weakref.WeakSet[Sender]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for sender in list(_senders):
        sender.close()


def _after_fork() -> None:
    for sender in _senders:
        sender.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
