"""Report on a job while its work runs, and learn that it is to stop."""

import asyncio
import contextvars
import functools
import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from callboard_client._clock import format_time, utc_now
from callboard_client._outbox import Entry, TrackedJob
from callboard_client._serialize import clean_error, clean_message, clean_text, log_level, serialize_object
from callboard_client.errors import BoardUnreachable, CallboardError, JobConflict, JobStopped, JobTimedOut
from callboard_client.record import JobRecord, JobStatus

if TYPE_CHECKING:
    from callboard_client._sender import Sender

log = logging.getLogger("callboard_client")

P = ParamSpec("P")
J = TypeVar("J", bound="Job")
_current: "contextvars.ContextVar[Job | None]" = contextvars.ContextVar("callboard_job", default=None)
_INTERRUPTED = "Stopped by its runner ({})."


def never_raises(method: Callable[Concatenate[J, P], None]) -> Callable[Concatenate[J, P], None]:
    """Log what goes wrong in a method instead of raising it in the work, but for errors that are meant for the work."""

    @functools.wraps(method)
    def guarded(job: J, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(job, *args, **kwargs)
        except Exception as error:
            # A stop, or what a strict client raises.
            if isinstance(error, CallboardError):
                raise
            log.exception("A report of job %s failed in this client.", job.id or "")

    return guarded


def copy_stop(stop: JobStopped) -> JobStopped:
    """Return a new exception for a stop: one that is raised again and again would hold on to all it has passed."""
    return type(stop)(stop.code, str(stop), stop.job)


class Job:
    """One job at work, as ``Client.job`` and ``Client.attach`` give it: a block for ``with`` and ``async with``.

    Entering the block creates the job, if it is new, and starts it. Leaving it ends the job: completed, with ``result``
    if the block set one; failed, with the traceback of the exception that leaves it; canceled, if that is the job's own
    ``JobStopped`` or this process was interrupted. In between a heartbeat tells the board that the runner is alive.

    Nothing here raises because of the board, but for ``JobStopped``, unless the client is ``strict``. While the board
    is away, reports are kept and sent later.
    """

    result: object = None
    """What the job produced, reported when it completes. What has no JSON is reported as text."""

    def __init__(
        self,
        sender: "Sender | None",
        *,
        body: dict[str, Any] | None = None,
        key: str | None = None,
        job_id: str | None = None,
        parent: "Job | None" = None,
        runner: str | None = None,
        heartbeat_interval: float | None = None,
        strict: bool = False,
    ) -> None:
        """Make a job that ``sender`` reports, or that nobody does. With ``body`` it is to be created, with that key."""
        self._sender = sender
        self._tracked = TrackedJob(id=job_id, dropped=sender is None)
        self._body = body
        self._key = key
        self._parent = parent
        self._runner = runner
        self._heartbeat_interval = heartbeat_interval
        self._strict = strict
        self._token: contextvars.Token[Job | None] | None = None
        self._pid = os.getpid()
        self.stop_exception: Callable[[JobStopped], BaseException] = copy_stop
        """Makes what is raised when the job is to stop: an engine may have an exception of its own for that."""

    @property
    def id(self) -> str | None:
        """The board's id of the job; ``None`` until the board has created it."""
        return self._tracked.id

    @property
    def stop_requested(self) -> bool:
        """Whether the board said that this job is to stop: for work that looks by itself and cleans up."""
        return self._tracked.stop is not None

    def on_stop(self, callback: Callable[[JobStopped], object]) -> None:
        """Call ``callback`` once when the board says that the job is to stop: in another thread, or now if it has."""
        if self._sender and (stop := self._sender.on_stop(self._tracked, callback)):
            callback(stop)

    # --- while it runs -------------------------------------------------------------------------------------------

    def progress(self, percent: float | None = None, message: object = None) -> None:
        """Report how far the job is, in percent from 0 to 100, and in one line what it does. Returns at once.

        May be called as often as is handy: of many calls the board gets the last, twice a second. Raises ``JobStopped``
        (``JobCanceled`` or ``JobTimedOut``) when the board said that the job is to stop.
        """
        self.raise_if_stopped()
        self._report_progress(percent, message)

    def update(self, *, result: object = None, link: object = None) -> None:
        """Report a result that may still grow, or the address of a page. Returns at once. Raises as ``progress``."""
        self.raise_if_stopped()
        self._report_result(result, link)

    @never_raises
    def log(self, line: object, level: str = "info") -> None:
        """Add a line to the job's log: ``debug``, ``info``, ``warning`` or ``error``. Returns at once, never raises."""
        self.log_lines(clean_text(line).splitlines() or [""], level)

    @never_raises
    def log_lines(self, lines: Sequence[str], level: str = "info", *, omitted: int = 0) -> None:
        """Add lines to the job's log, after ``omitted`` others that were left out. Returns at once, never raises."""
        if self._sender:
            about = {"level": log_level(level), "at": format_time(utc_now())}
            self._sender.log(self._tracked, [{"text": clean_text(line), **about} for line in lines], omitted)

    def raise_if_stopped(self) -> None:
        """Raise ``JobStopped`` if the board said that the job is to stop; else do nothing."""
        if self._tracked.stop is not None:
            raise self.stop_exception(self._tracked.stop)

    @never_raises
    def _report_progress(self, percent: float | None, message: object) -> None:
        fields: dict[str, Any] = {}
        if percent is not None:
            # In this order NaN is 0.
            fields["progress"] = int(max(0, min(100, percent)))
        if message is not None:
            fields["message"] = clean_message(message)
        if self._sender:
            self._sender.report(self._tracked, fields)

    @never_raises
    def _report_result(self, result: object, link: object) -> None:
        fields = {"result": serialize_object(result), "link": None if link is None else clean_text(link)}
        if self._sender:
            self._sender.report(self._tracked, {name: value for name, value in fields.items() if value is not None})

    # --- its beginning and its end -------------------------------------------------------------------------------

    def enqueue(self, *, wait: bool = True) -> "Job":
        """Create the job as pending, for a worker to start. Waits for the board, unless that is away.

        With ``wait=False`` it returns at once and creates the job in the background: for work that knows the job by its
        key and needs no id.
        """
        self._create(wait)
        return self

    def start(self, message: str | None = None) -> "Job":
        """Report that the job runs, and start its heartbeat. Raises ``JobStopped`` if it is not to run."""
        self._create(True)
        self._report_running(message)
        if self.stop_requested:
            self.report_stopped()
            self.raise_if_stopped()
        return self

    @never_raises
    def pause(self, message: str) -> None:
        """Report why the job waits, for its next attempt. It goes on as running; ``start`` begins the next attempt.

        Until then it has no heartbeat, because what waits may never be woken.
        """
        if self._sender:
            self._sender.stop_heartbeat(self._tracked)
        self._submit_report({"message": clean_message(message)})

    def complete(self, result: object = None) -> None:
        """Report that the job completed. Of a canceled job the board notes that it finished anyway."""
        self._end("completed", result=self.result if result is None else result)

    def fail(self, error: str | BaseException) -> None:
        """Report that the job failed, and why: a text, or an exception with its traceback."""
        self._end("failed", error=error)

    def report_stopped(self, message: str | None = None) -> None:
        """Report that the job was canceled and has stopped, because the board said so or its runner did."""
        self._end("canceled", message=message)

    @never_raises
    def _create(self, wait: bool) -> None:
        if self._body is not None:
            body, self._body = self._body, None
            parent = self._parent._tracked if self._parent else None
            self._submit(Entry(self._tracked, "create", body, utc_now(), self._key, parent, urgent=True), wait=wait)

    @never_raises
    def _report_running(self, message: str | None) -> None:
        body: dict[str, Any] = {"status": "running"}
        if self._runner:
            body["runner"] = clean_text(self._runner)[:200]
        if message:
            body["message"] = clean_message(message)
        outcome = self._submit_report(body)
        if isinstance(outcome, JobConflict) and not self.stop_requested:
            log.warning("Job %s is %s already: the board shows nothing of this run.", self.id, outcome.job.status)
        elif self._sender and self._heartbeat_interval and not self.stop_requested:
            self._sender.start_heartbeat(self._tracked, self._heartbeat_interval)

    @never_raises
    def _end(
        self,
        status: JobStatus,
        *,
        result: object = None,
        error: str | BaseException | None = None,
        message: str | None = None,
    ) -> None:
        if self._sender:
            self._sender.stop_heartbeat(self._tracked)
        body: dict[str, Any] = {"status": status}
        if result is not None:
            body["result"] = serialize_object(result)
        if error is not None:
            text = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else error
            body["error"] = clean_error(text)
        if message:
            body["message"] = clean_message(message)
        # A job past its time was failed for good by the board.
        if not isinstance(self._tracked.stop, JobTimedOut):
            self._submit_report(body)

    def _submit_report(self, body: dict[str, Any]) -> JobRecord | CallboardError | None:
        return self._submit(Entry(self._tracked, "report", body, utc_now(), urgent=True))

    def _submit(self, entry: Entry, *, wait: bool = True) -> JobRecord | CallboardError | None:
        if self._sender is None:
            return None
        outcome = self._sender.submit(entry) if wait else self._sender.submit(entry, timeout=0)
        # A stop is raised where the work can leave.
        if wait and self._strict and not isinstance(outcome, JobRecord | JobStopped):
            if entry.kind == "create" or entry.body.get("status") == "running":
                # Work that does not begin is none that should be waited for.
                self._sender.drop(self._tracked)
            raise outcome or self._sender.last_error or BoardUnreachable("The board is away.")
        return entry.outcome

    # --- as a block ----------------------------------------------------------------------------------------------

    def set_current(self) -> None:
        """Make this the ``current_job`` here, until ``reset_current``."""
        self._pid = os.getpid()
        self._token = _current.set(self)

    def reset_current(self) -> None:
        """Make the ``current_job`` of before the current one again."""
        if self._token:
            # A generator may be closed in another context than it was begun in, where there is nothing to reset.
            with suppress(ValueError):
                _current.reset(self._token)
            self._token = None

    @contextmanager
    def as_current(self) -> "Iterator[Job]":
        """Make this the ``current_job`` in a block, without starting or ending it."""
        self.set_current()
        try:
            yield self
        finally:
            self.reset_current()

    def __enter__(self) -> "Job":
        self.start()
        self.set_current()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.reset_current()
        self._finish(error)

    async def __aenter__(self) -> "Job":
        abandoned, started = threading.Event(), threading.Event()

        def start() -> None:
            self.start()
            started.set()
            if abandoned.is_set():
                self.report_stopped(_INTERRUPTED.format("CancelledError"))

        try:
            await asyncio.to_thread(start)
        except asyncio.CancelledError:
            # The thread goes on, and nobody would end what it started.
            abandoned.set()
            if started.is_set():
                message = _INTERRUPTED.format("CancelledError")
                threading.Thread(target=self.report_stopped, args=[message]).start()
            raise
        self.set_current()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.reset_current()
        # Also when the task is canceled the board is to know how the job ended.
        await asyncio.shield(asyncio.to_thread(self._finish, error))

    def _finish(self, error: BaseException | None) -> None:
        if os.getpid() != self._pid:
            # A child of a fork leaves the block of its parent, which is still in it.
            return
        try:
            if error is None or (isinstance(error, SystemExit) and not error.code):
                self.complete()
            elif isinstance(error, JobStopped) and error.job.id == self.id:
                self.report_stopped()
            elif isinstance(error, KeyboardInterrupt | asyncio.CancelledError | GeneratorExit):
                self.report_stopped(_INTERRUPTED.format(type(error).__name__))
            else:
                self.fail(error)
        except CallboardError:
            # What the work itself raised is not to be hidden.
            if error is None:
                raise
            log.warning("The end of job %s was not reported.", self.id, exc_info=True)


def current_job() -> Job:
    """Return the job at work here: in a block of ``with client.job(…)``, and in a function under ``client.track()``.

    Elsewhere return a job that nobody reports, so that a function may be called without a board.
    """
    return _current.get() or Job(None)
