"""Send the reports of all jobs of a client from one thread: in order, not too often, again after a failure."""

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from callboard_client._answers import apply_answer
from callboard_client._clock import utc_now
from callboard_client._health import Health
from callboard_client._outbox import Entry, Outbox, StopCallback, TrackedJob
from callboard_client._requests import Answer, send_entries
from callboard_client._schedule import Schedule
from callboard_client._spool import Spool
from callboard_client._transport import Transport
from callboard_client.errors import BoardRefused, BoardUnreachable, CallboardError, JobStopped, Unauthorized
from callboard_client.record import JobRecord

log = logging.getLogger("callboard_client")

INTERVAL = 0.5
"""Seconds from one round of requests to the next, unless one of them starts or ends a job."""
START_TIMEOUT = 5.0
"""Seconds that a job waits at its start and at its end for the board, as long as the board is not away."""
STOP_TIMEOUT = 5.0
"""Seconds that a process waits at its end until all is sent."""
MAX_INTERNAL_ERRORS = 4
"""Internal errors of the board in a row after which the report is left out: the board cannot process it."""
CHECK_INTERVAL = 0.1
"""Seconds after which whoever waits checks whether the board is away by now."""

StopCall = tuple[StopCallback, JobStopped]

_senders: "weakref.WeakSet[Sender]" = weakref.WeakSet()


class Sender:
    """Queue what jobs report, and send it. The thread starts with the first entry."""

    def __init__(self, transport: Transport, *, interval: float = INTERVAL, spool: Spool | None = None) -> None:
        self._transport = transport
        self._interval = interval
        self._spool = spool or Spool(None)
        self._reset()
        _senders.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._outbox = Outbox()
        self._health = Health()
        self._schedule = Schedule(self._interval)
        self._thread: threading.Thread | None = None
        self._flushing = False
        self._closed = False

    # --- what jobs call ------------------------------------------------------------------------------------------

    @property
    def last_error(self) -> CallboardError | None:
        """The error of the last request that failed."""
        return self._health.last_error

    def submit(self, entry: Entry, *, timeout: float = START_TIMEOUT) -> JobRecord | CallboardError | None:
        """Queue an entry and wait for its answer; return ``None`` if there is none in time, for it is sent later."""
        with self._changed:
            if entry.job.dropped:
                return None
            if self._closed or (entry.kind == "create" and not self._outbox.has_room):
                entry.job.dropped = True
                log.warning(
                    "A job is not reported: %s.", "the client is closed" if self._closed else "the queue is full"
                )
                return None
            self._outbox.add(entry)
            entry.job.last_report_at = time.monotonic()
            if self._health.is_away:
                self._spool.write([entry])
            self._wait_until(lambda: entry.answered or entry.job.dropped, timeout if self._wake() else 0)
            return entry.outcome

    def report(self, job: TrackedJob, fields: Mapping[str, Any]) -> None:
        """Queue fields that a later report of the job may replace before they are sent. Returns at once."""
        with self._changed:
            if not (job.dropped or job.stop or self._closed):
                was_empty = not self._outbox
                self._outbox.merge_report(job, fields, utc_now())
                # Otherwise the thread waits for the time of its next request already.
                if was_empty:
                    self._wake()

    def log(self, job: TrackedJob, lines: Sequence[dict[str, Any]], omitted: int = 0) -> None:
        """Queue lines of a job's log, after ``omitted`` others that were left out. Returns at once."""
        with self._changed:
            if not (job.dropped or self._closed):
                was_empty = not self._outbox
                self._outbox.add_lines(job, lines, utc_now(), omitted)
                if was_empty:
                    self._wake()

    def start_heartbeat(self, job: TrackedJob, interval: float) -> None:
        """Report a job at least every ``interval`` seconds from now on."""
        with self._changed:
            self._schedule.heartbeats[job] = interval
            self._wake()

    def stop_heartbeat(self, job: TrackedJob) -> None:
        """End the heartbeat of a job."""
        with self._changed:
            self._schedule.heartbeats.pop(job, None)

    def on_stop(self, job: TrackedJob, callback: StopCallback) -> JobStopped | None:
        """Call ``callback`` when the board says that the job is to stop; if it has said so already, return that."""
        with self._changed:
            if job.stop is None:
                job.stop_callbacks.append(callback)
            return job.stop

    def drop(self, job: TrackedJob) -> None:
        """Send nothing more of a job, nor what waits of it."""
        with self._changed:
            self._drop(job)

    def flush(self, timeout: float = STOP_TIMEOUT) -> bool:
        """Wait until everything is sent, or the board is away. Return whether everything is sent."""
        with self._changed:
            self._flushing = True
            self._wait_until(lambda: not self._outbox, timeout if self._outbox and self._wake() else 0)
            self._flushing = self._closed
            return not self._outbox

    def close(self, timeout: float = STOP_TIMEOUT) -> None:
        """Send what can be sent within so many seconds, and end the thread. The rest stays in the spool, if any."""
        if self._closed:
            return
        self.flush(timeout)
        with self._changed:
            self._closed = self._flushing = True
            unsent = len(self._outbox)
            self._spool.write(self._outbox)
            self._changed.notify_all()
            self._spool.close(empty=not unsent)
        if unsent:
            fate = "are kept in the spool" if self._spool.is_complete else "are lost"
            log.warning("%d reports were not sent: they %s.", unsent, fate)

    def _wait_until(self, condition: Callable[[], bool], timeout: float) -> None:
        """With the lock, let the thread work until the condition is true or the board is away."""
        deadline = time.monotonic() + timeout
        while not (condition() or self._health.is_away) and (left := deadline - time.monotonic()) > 0:
            self._changed.wait(min(left, CHECK_INTERVAL))

    # --- the thread ----------------------------------------------------------------------------------------------

    def _wake(self) -> bool:
        """Let the thread check what there is to send; return whether there is a thread."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="callboard", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # At the end of the process, or where it may have no more of them. The next call tries again.
                log.warning("Nothing can be sent to the board now: %s.", error)
                return False
            self._thread = thread
        self._changed.notify_all()
        return True

    def _run(self) -> None:
        self._adopt_spool()
        while (entries := self._wait_for_batch()) is not None:
            call_back(self._send(entries))

    def _wait_for_batch(self) -> list[Entry] | None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                self._queue_heartbeats(now)
                wait = self._schedule.seconds_to_wait(
                    now, self._outbox, next_try=self._health.next_try, flushing=self._flushing
                )
                if wait is not None and wait <= 0 and (batch := self._outbox.next_batch()):
                    self._health.start_request()
                    return batch
                self._changed.wait(wait if wait is None else max(wait, 0.001))
            return None

    def _queue_heartbeats(self, now: float) -> None:
        for job in self._schedule.due_heartbeats(now):
            job.last_report_at = now
            # When the board is back, the reports that wait say more.
            if not job.stop and not (self._health.is_failing and self._outbox):
                self._outbox.merge_report(job, {}, utc_now())

    def _send(self, entries: Sequence[Entry]) -> list[StopCall]:
        """Send entries and apply the answers; return the calls of those that wait for a stop of their job."""
        try:
            return self._send_and_apply(entries)
        except Exception:
            log.exception("Sending a report failed in this client; the report is left out.")
            with self._changed:
                self._give_up_single(entries)
            return []

    def _send_and_apply(self, entries: Sequence[Entry]) -> list[StopCall]:
        answers: list[Answer]
        try:
            answers = send_entries(self._transport, entries)
        except (BoardUnreachable, Unauthorized) as error:
            self._retry_later(entries, error)
            return []
        except BoardRefused as refusal:
            if len(entries) > 1:
                self._mark_to_send_alone(entries)
                return []
            answers = [refusal]
        with self._changed:
            recovered = self._health.is_failing
            self._health.reset()
            self._outbox.remove(entries)
            self._end_request(len(entries))
            calls = [
                call for entry, answer in zip(entries, answers, strict=True) for call in self._apply(entry, answer)
            ]
            self._spool.remove([entry for entry in entries if entry.answered], self._outbox)
            self._changed.notify_all()
        if recovered:
            log.info("The board is reachable again.")
            self._adopt_spool()
        return calls

    def _apply(self, entry: Entry, answer: Answer) -> list[StopCall]:
        stop = apply_answer(entry, answer, self._outbox)
        if entry.job.dropped:
            self._schedule.heartbeats.pop(entry.job, None)
        return [] if stop is None else [(callback, stop) for callback in entry.job.stop_callbacks]

    def _end_request(self, sent: int) -> None:
        self._health.end_request()
        self._schedule.end_request(sent, self._outbox)

    def _retry_later(self, entries: Sequence[Entry], error: BoardUnreachable | Unauthorized) -> None:
        with self._changed:
            if self._health.record_failure(error):
                log.warning("The board is unavailable; jobs continue and their reports wait: %s", error)
            self._end_request(0)
            internal_error = isinstance(error, BoardUnreachable) and error.status == 500
            for entry in entries:
                # Lines that may have arrived must not be other ones under the same key.
                entry.frozen = entry.in_spool or entry.kind == "log"
                entry.failures += internal_error
            if entries[0].failures >= MAX_INTERNAL_ERRORS:
                log.warning("A report is left out: the board had an internal error %d times.", MAX_INTERNAL_ERRORS)
                self._health.reset_backoff()
                self._give_up_single(entries[:1])
            self._spool.write(self._outbox)
            self._changed.notify_all()

    def _mark_to_send_alone(self, entries: Sequence[Entry]) -> None:
        """Send each entry alone from now on, because the board did not understand one of them."""
        with self._changed:
            self._end_request(0)
            for entry in entries:
                entry.failures = max(entry.failures, 1)

    def _give_up_single(self, entries: Sequence[Entry]) -> None:
        if len(entries) > 1:
            self._mark_to_send_alone(entries)
            return
        self._end_request(0)
        (entry,) = entries
        self._outbox.remove(entries)
        entry.answered = True
        if entry.kind == "create":
            self._drop(entry.job)
        self._spool.remove(entries, self._outbox)
        self._changed.notify_all()

    def _drop(self, job: TrackedJob) -> None:
        self._schedule.heartbeats.pop(job, None)
        self._outbox.drop(job)
        if not self._outbox:
            # Nothing is sent that would find out whether the board is back: the next entry does.
            self._health.reset()

    def _adopt_spool(self) -> None:
        entries = self._spool.read_abandoned()
        with self._changed:
            for entry in entries:
                self._outbox.add(entry)

    def after_fork(self) -> None:
        """Begin anew in the child of a fork, which has neither its parent's thread nor its parent's entries."""
        self._transport.reopen()
        self._spool.release()
        self._reset()


def call_back(calls: Sequence[StopCall]) -> None:
    """Call those that wait for a stop; what they raise is logged."""
    for callback, stop in calls:
        try:
            callback(stop)
        except Exception:
            log.exception("A callback for a stop failed.")


@atexit.register
def _close_all() -> None:
    for sender in list(_senders):
        sender.close()


def _after_fork() -> None:
    for sender in _senders:
        sender.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
