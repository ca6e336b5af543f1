"""A job while it runs: what its work says of it, and what it hears."""

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

from callboard_client._outbox import Entry, Subject, as_text, now
from callboard_client._serialize import ERROR_LIMIT, ending, message_of, plain_object, text
from callboard_client.errors import BoardUnreachable, CallboardError, JobConflict, JobStopped, JobTimedOut
from callboard_client.record import JobRecord, JobStatus

if TYPE_CHECKING:
    from callboard_client._sender import Sender

log = logging.getLogger("callboard_client")

LEVELS = {"warn": "warning", "critical": "error", "fatal": "error", "exception": "error", "trace": "debug"}
"""What others call the levels of a log."""

P = ParamSpec("P")
J = TypeVar("J", bound="Job")
_current: "contextvars.ContextVar[Job | None]" = contextvars.ContextVar("callboard_job", default=None)


def harmless(method: Callable[Concatenate[J, P], None]) -> Callable[Concatenate[J, P], None]:
    """Whatever goes wrong here is a line of the log, and not the work's business: a stop is, and what strict wants."""

    @functools.wraps(method)
    def guarded(job: J, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(job, *args, **kwargs)
        except Exception as error:
            if isinstance(error, CallboardError):
                raise
            log.exception("What job %s said could not be told.", job.id or "")

    return guarded


class Job:
    """One job at work, as ``Client.job`` and ``Client.attach`` give it: a block for ``with`` and ``async with``.

    Entering the block creates the job, if it is new, and says that it runs. Leaving it says how it ended: completed,
    with ``result`` if the block set one; failed with the traceback of the exception that leaves it; canceled, if that
    is its own ``JobStopped`` or somebody stopped this process. In between the board hears of it even when it is silent.

    Nothing here raises because of the board, but for ``JobStopped``, unless the client is ``strict``. While the board
    is away, everything is kept and told later.
    """

    result: object = None
    """What the job produced, told when it completes. What JSON has no word for is told as text."""

    def __init__(
        self,
        sender: "Sender | None",
        *,
        new: dict[str, Any] | None = None,
        key: str | None = None,
        job_id: str | None = None,
        parent: "Job | None" = None,
        runner: str | None = None,
        heartbeat_interval: float | None = None,
        strict: bool = False,
    ) -> None:
        self._sender = sender
        self._subject = Subject(id=job_id, untold=sender is None)
        self._new = new
        self._key = key
        self._parent = parent
        self._runner = runner
        self._beat_every = heartbeat_interval
        self._strict = strict
        self._token: contextvars.Token[Job | None] | None = None
        self._pid = os.getpid()
        self.stop_exception: Callable[[JobStopped], BaseException] = _of_its_own
        """What is raised when the job is to stop: an engine may have a word of its own for that."""

    @property
    def id(self) -> str | None:
        """The job's id; null as long as the board could not be asked for one."""
        return self._subject.id

    @property
    def stop_requested(self) -> bool:
        """Whether the board said that this job is to stop: for work that looks by itself and cleans up."""
        return self._subject.stop is not None

    def on_stop(self, hear: Callable[[JobStopped], object]) -> None:
        """Call this once when the board says that the job is to stop: from another thread, or now if it has said so."""
        if self._sender and (stop := self._sender.on_stop(self._subject, hear)):
            hear(stop)

    # --- while it runs -------------------------------------------------------------------------------------------

    def progress(self, percent: float | None = None, message: object = None) -> None:
        """Say how far it is, in percent from 0 to 100, and in one line what it does. Returns at once.

        May be called as often as is handy: of many calls the board hears the last, twice a second. Raises
        ``JobStopped`` (``JobCanceled`` or ``JobTimedOut``) when the board said that the job is to stop.
        """
        self.raise_if_stopped()
        self._report_progress(percent, message)

    def update(self, *, result: object = None, link: object = None) -> None:
        """Say what there is so far: a result that may still grow, the address of a page. Raises as ``progress``."""
        self.raise_if_stopped()
        self._report_result(result, link)

    @harmless
    def log(self, line: object, level: str = "info") -> None:
        """Add a line to the job's log: ``debug``, ``info``, ``warning`` or ``error``. Returns at once, never raises."""
        if self._sender:
            known = level.lower() if isinstance(level, str) else "info"
            known = LEVELS.get(known, known)
            known = known if known in ("debug", "info", "warning", "error") else "info"
            at = as_text(now())
            lines = [{"text": each, "level": known, "at": at} for each in text(line).splitlines() or [""]]
            self._sender.log(self._subject, lines)

    @harmless
    def log_lines(self, lines: Sequence[str], level: str = "info", *, omitted: int = 0) -> None:
        """Add lines to the job's log, of which so many more were left out before. Never raises."""
        if self._sender:
            at = as_text(now())
            self._sender.log(self._subject, [{"text": text(line), "level": level, "at": at} for line in lines], omitted)

    def raise_if_stopped(self) -> None:
        """Raise ``JobStopped`` if the board said that the job is to stop; else do nothing."""
        if self._subject.stop is not None:
            raise self.stop_exception(self._subject.stop)

    @harmless
    def _report_progress(self, percent: float | None, message: object) -> None:
        fields: dict[str, Any] = {}
        if percent is not None:
            # In this order NaN is 0.
            fields["progress"] = int(max(0, min(100, percent)))
        if message is not None:
            fields["message"] = message_of(message)
        if self._sender:
            self._sender.report(self._subject, fields)

    @harmless
    def _report_result(self, result: object, link: object) -> None:
        fields = {"result": plain_object(result), "link": None if link is None else text(link)}
        if self._sender:
            self._sender.report(self._subject, {name: value for name, value in fields.items() if value is not None})

    # --- its beginning and its end -------------------------------------------------------------------------------

    def enqueue(self, *, wait: bool = True) -> "Job":
        """Create the job as pending, for a worker to start. Waits for the board, unless that is away.

        With ``wait=False`` it returns at once and is told from the background: for work that knows the job by its key.
        """
        self._create(wait)
        return self

    def start(self, message: str | None = None) -> "Job":
        """Say that the job runs, and give signs of life from now on. Raises ``JobStopped`` if it is not to run."""
        self._create(True)
        self._begin(message)
        if self.stop_requested:
            self.report_stopped()
            self.raise_if_stopped()
        return self

    @harmless
    def _create(self, wait: bool) -> None:
        if self._new is not None:
            new, self._new = self._new, None
            parent = self._parent._subject if self._parent else None
            self._tell(Entry(self._subject, "create", new, now(), self._key, parent, urgent=True), wait=wait)

    @harmless
    def _begin(self, message: str | None) -> None:
        body: dict[str, Any] = {"status": "running"}
        if self._runner:
            body["runner"] = text(self._runner)[:200]
        if message:
            body["message"] = message_of(message)
        entry = self._tell(Entry(self._subject, "report", body, now(), urgent=True))
        if isinstance(entry.outcome, JobConflict) and not self.stop_requested:
            log.warning("Job %s is %s already: the board shows nothing of this run.", self.id, entry.outcome.job.status)
        elif self._sender and self._beat_every and not self.stop_requested:
            self._sender.beat(self._subject, self._beat_every)

    def complete(self, result: object = None) -> None:
        """Say that it completed. Of a canceled job the board notes that it finished anyway."""
        self._end("completed", result=self.result if result is None else result)

    def fail(self, error: str | BaseException) -> None:
        """Say that it failed, and why: a text, or an exception with its traceback."""
        self._end("failed", error=error)

    def report_stopped(self, message: str | None = None) -> None:
        """Say that it was canceled and has stopped, by the board's word or by its own."""
        self._end("canceled", message=message)

    @harmless
    def pause(self, message: str) -> None:
        """Say why it waits, for its next attempt: the job goes on running, and ``start`` says that it is at work again.

        Until then it gives no sign of life, for whoever waits may never be woken.
        """
        if self._sender:
            self._sender.rest(self._subject)
        self._tell(Entry(self._subject, "report", {"message": message_of(message)}, now(), urgent=True))

    @harmless
    def _end(
        self,
        status: JobStatus,
        *,
        result: object = None,
        error: str | BaseException | None = None,
        message: str | None = None,
    ) -> None:
        if self._sender:
            self._sender.rest(self._subject)
        body: dict[str, Any] = {"status": status}
        if result is not None:
            body["result"] = plain_object(result)
        if error is not None:
            told = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else error
            body["error"] = ending(told, ERROR_LIMIT)
        if message:
            body["message"] = message_of(message)
        # A job past its time was failed for good by the board.
        if not isinstance(self._subject.stop, JobTimedOut):
            self._tell(Entry(self._subject, "report", body, now(), urgent=True))

    def _tell(self, entry: Entry, *, wait: bool = True) -> Entry:
        if self._sender is None:
            return entry
        outcome = self._sender.tell(entry) if wait else self._sender.tell(entry, wait=0)
        # Of a stop the work hears where it can leave.
        if wait and self._strict and not isinstance(outcome, JobRecord | JobStopped):
            if entry.kind == "create" or entry.body.get("status") == "running":
                # Work that does not begin is none that should be waited for.
                self._sender.abandon(self._subject)
            raise outcome or self._sender.why or BoardUnreachable("The board is away.")
        return entry

    # --- as a block ----------------------------------------------------------------------------------------------

    def set_current(self) -> None:
        """Be the ``current_job`` here, until ``leave``."""
        self._pid = os.getpid()
        self._token = _current.set(self)

    def reset_current(self) -> None:
        """Be it no longer."""
        if self._token:
            # A generator may be closed in another context than it was begun in, where there is nothing to be left.
            with suppress(ValueError):
                _current.reset(self._token)
            self._token = None

    @contextmanager
    def as_current(self) -> "Iterator[Job]":
        """A block in which this is the ``current_job``, for whoever says by himself how it begins and ends."""
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
        given_up, started = threading.Event(), threading.Event()

        def start() -> None:
            self.start()
            started.set()
            if given_up.is_set():
                self.report_stopped(_STOPPED.format("CancelledError"))

        try:
            await asyncio.to_thread(start)
        except asyncio.CancelledError:
            # The thread goes on, and nobody would end what it started.
            given_up.set()
            if started.is_set():
                threading.Thread(target=self.report_stopped, args=[_STOPPED.format("CancelledError")]).start()
            raise
        self.set_current()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.reset_current()
        # Also of a task that is canceled the board is told how it ended.
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
                self.report_stopped(_STOPPED.format(type(error).__name__))
            else:
                self.fail(error)
        except CallboardError:
            # What the work itself raised is not to be hidden.
            if error is None:
                raise
            log.warning("The end of job %s could not be told.", self.id, exc_info=True)


_STOPPED = "Stopped by its runner ({})."


def _of_its_own(stop: JobStopped) -> JobStopped:
    """A new one each time: one that is raised again and again would hold on to all it has passed."""
    return type(stop)(stop.code, str(stop), stop.job)


def current_job() -> Job:
    """The job at work here: in the block of ``with client.job(…)`` and in a function under ``client.track()``.

    Elsewhere one that tells nobody, so that a function may be called without a board, as in its tests.
    """
    return _current.get() or Job(None)
