"""A job while it runs: what its work says of it, and what it hears."""

import asyncio
import contextvars
import logging
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from callboard_client.errors import BoardUnreachable, CallboardError, JobStopped, JobTimedOut
from callboard_client.outbox import Entry, Subject, as_text, now
from callboard_client.plain import ERROR_LIMIT, MESSAGE_LIMIT, ending, plain_object, text
from callboard_client.record import JobRecord, JobStatus

if TYPE_CHECKING:
    from callboard_client.sender import Sender

log = logging.getLogger("callboard_client")

_current: "contextvars.ContextVar[Job | None]" = contextvars.ContextVar("callboard_job", default=None)


class Job:
    """One job at work, as ``Client.job`` and ``Client.attach`` give it: a block for ``with`` and ``async with``.

    Entering the block creates the job, if it is new, and says that it runs. Leaving it says how it ended: completed,
    with ``result`` if the block set one; failed with the traceback of the exception that leaves it; canceled, if that
    is ``JobStopped`` or somebody stopped this process. In between the board hears of it even when the block is silent.

    Nothing here raises because of the board, but for ``JobStopped``, unless the client is ``strict``. While the board
    is away, everything is kept and told later.
    """

    result: Mapping[str, Any] | None = None
    """What the job produced, told when it completes. What JSON has no word for is told as text."""
    stops_with: Callable[[JobStopped], BaseException] = staticmethod(lambda stop: stop)
    """What is raised instead of ``JobStopped``: an engine may have a word of its own for work that is not to go on."""

    def __init__(
        self,
        sender: "Sender | None",
        *,
        new: dict[str, Any] | None = None,
        key: str | None = None,
        job_id: str | None = None,
        runner: str | None = None,
        beat_every: float | None = None,
        strict: bool = False,
    ) -> None:
        self._sender = sender
        self._subject = Subject(id=job_id, untold=sender is None)
        self._new = new
        self._key = key
        self._runner = runner
        self._beat_every = beat_every
        self._strict = strict
        self._token: contextvars.Token[Job | None] | None = None

    @property
    def id(self) -> str | None:
        """The job's id; null as long as the board could not be asked for one."""
        return self._subject.id

    @property
    def stop_requested(self) -> bool:
        """Whether the board said that this job is to stop: for work that looks by itself and cleans up."""
        return self._subject.stop is not None

    def on_stop(self, hear: Callable[[JobStopped], object]) -> None:
        """Call this once, from another thread, as soon as the board says that the job is to stop."""
        self._subject.on_stop.append(hear)
        if self._subject.stop is not None:
            hear(self._subject.stop)

    # --- while it runs -------------------------------------------------------------------------------------------

    def progress(self, percent: float | None = None, message: str | None = None) -> None:
        """Say how far it is, in percent from 0 to 100, and in one line what it does. Returns at once.

        May be called as often as is handy: of many calls the board hears the last, twice a second. Raises
        ``JobStopped`` (``JobCanceled`` or ``JobTimedOut``) when the board said that the job is to stop.
        """
        fields: dict[str, Any] = {}
        if percent is not None:
            fields["progress"] = max(0, min(100, int(percent)))
        if message is not None:
            fields["message"] = text(message)[:MESSAGE_LIMIT]
        self._report(fields)

    def update(self, *, result: Mapping[str, Any] | None = None, link: str | None = None) -> None:
        """Say what there is so far: a result that may still grow, the address of a page. Raises as ``progress``."""
        fields = {"result": plain_object(result), "link": link}
        self._report({name: value for name, value in fields.items() if value is not None})

    def log(self, line: str, level: str = "info") -> None:
        """Add a line to the job's log: ``debug``, ``info``, ``warning`` or ``error``. Returns at once, never raises."""
        if self._sender:
            lines = [{"text": text(each), "level": level, "at": as_text(now())} for each in line.splitlines() or [""]]
            self._sender.log(self._subject, lines)

    def check(self) -> None:
        """Raise ``JobStopped`` if the board said that the job is to stop; else do nothing."""
        if self._subject.stop is not None:
            raise self.stops_with(self._subject.stop)

    def _report(self, fields: dict[str, Any]) -> None:
        self.check()
        if self._sender:
            self._sender.report(self._subject, fields)

    # --- its beginning and its end -------------------------------------------------------------------------------

    def enqueue(self, *, wait: bool = True) -> "Job":
        """Create the job as pending, for a worker to start. Waits for the board, unless that is away.

        With ``wait=False`` it returns at once and is told from the background: for work that knows the job by its key.
        """
        if self._new is not None:
            new, self._new = self._new, None
            self._tell(Entry(self._subject, "create", new, now(), self._key, urgent=True), wait=wait)
        return self

    def start(self, message: str | None = None) -> "Job":
        """Say that the job runs, and give signs of life from now on. Raises ``JobStopped`` if it is not to run."""
        self.enqueue()
        body: dict[str, Any] = {"status": "running"}
        if self._runner:
            body["runner"] = self._runner
        if message:
            body["message"] = text(message)[:MESSAGE_LIMIT]
        self._tell(Entry(self._subject, "report", body, now(), urgent=True))
        if self.stop_requested:
            self.stopped()
            self.check()
        if self._sender and self._beat_every:
            self._sender.beat(self._subject, self._beat_every)
        return self

    def complete(self, result: object = None) -> None:
        """Say that it completed. Of a canceled job the board notes that it finished anyway."""
        told = plain_object(self.result if result is None else result)
        self._end("completed", {} if told is None else {"result": told})

    def fail(self, error: str | BaseException) -> None:
        """Say that it failed, and why: a text, or an exception with its traceback."""
        told = error if isinstance(error, str) else "".join(traceback.format_exception(error))
        self._end("failed", {"error": ending(told, ERROR_LIMIT)})

    def stopped(self, message: str | None = None) -> None:
        """Say that it was canceled and has stopped, by the board's word or by its own."""
        self._end("canceled", {"message": text(message)[:MESSAGE_LIMIT]} if message else {})

    def pause(self, message: str) -> None:
        """Say why it waits, for its next attempt: the job goes on running, and ``start`` says that it is at work again.

        Until then it gives no sign of life, for whoever waits may never be woken.
        """
        if self._sender:
            self._sender.rest(self._subject)
        self._tell(Entry(self._subject, "report", {"message": text(message)[:MESSAGE_LIMIT]}, now(), urgent=True))

    def _end(self, status: JobStatus, fields: dict[str, Any]) -> None:
        if self._sender:
            self._sender.rest(self._subject)
        # A job past its time was failed for good by the board.
        if not isinstance(self._subject.stop, JobTimedOut):
            self._tell(Entry(self._subject, "report", {"status": status, **fields}, now(), urgent=True))

    def _tell(self, entry: Entry, *, wait: bool = True) -> None:
        if self._sender is None:
            return
        outcome = self._sender.tell(entry) if wait else self._sender.tell(entry, wait=0)
        # Of a stop the work hears where it can leave.
        if wait and self._strict and not isinstance(outcome, JobRecord | JobStopped):
            raise outcome or BoardUnreachable("The board is away; what the job says of itself is told later.")

    # --- as a block ----------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Be the ``current_job`` here, until ``leave``."""
        self._token = _current.set(self)

    def leave(self) -> None:
        """Be it no longer."""
        if self._token:
            _current.reset(self._token)
            self._token = None

    def __enter__(self) -> "Job":
        self.start()
        self.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.leave()
        self._finish(error)

    async def __aenter__(self) -> "Job":
        await asyncio.to_thread(self.start)
        self.enter()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.leave()
        # Also of a task that is canceled the board is told how it ended.
        await asyncio.shield(asyncio.to_thread(self._finish, error))

    def _finish(self, error: BaseException | None) -> None:
        try:
            if error is None or (isinstance(error, SystemExit) and not error.code):
                self.complete()
            elif isinstance(error, JobStopped):
                self.stopped()
            elif isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
                self.stopped(f"Stopped by its runner ({type(error).__name__}).")
            else:
                self.fail(error)
        except CallboardError:
            # What the work itself raised is not to be hidden.
            if error is None:
                raise
            log.warning("The end of job %s could not be told.", self.id, exc_info=True)


def current_job() -> Job:
    """The job at work here: in the block of ``with client.job(…)`` and in a function under ``client.track()``.

    Elsewhere one that tells nobody, so that a function may be called without a board, as in its tests.
    """
    return _current.get() or Job(None)
