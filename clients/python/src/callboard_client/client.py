"""The board as a runner sees it: four verbs, and jobs that report by themselves."""

import functools
import inspect
import logging
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast, overload

from callboard_client._sender import INTERVAL, Sender
from callboard_client._serialize import ERROR_LIMIT, ending, key_of, message_of, plain_object, seconds, text
from callboard_client._spool import Spool
from callboard_client._transport import Board, path_of, record_of
from callboard_client.errors import BoardUnreachable, NotConfigured
from callboard_client.job import Job
from callboard_client.record import JobRecord, JobStatus

log = logging.getLogger("callboard_client")

HEARTBEAT_TIMEOUT = 60
"""Seconds of silence after which the board fails a job as lost, unless the job asks for others."""
HEARTBEAT_INTERVAL = 10.0
"""Seconds from one sign of life to the next, at most: as long a job may not have heard of its cancel."""
RETRIES = (0.25, 0.5, 1.0, 2.0)
"""Seconds before a verb is tried again."""

P = ParamSpec("P")
R = TypeVar("R")
Parent = Job | JobRecord | str | uuid.UUID


class Client:
    """A board, as ``url`` and ``token`` or ``CALLBOARD_URL`` and ``CALLBOARD_TOKEN`` name it.

    Without an address or a token jobs run as they would without a board: ``job``, ``attach`` and ``track`` tell nobody,
    and the log says so once; the verbs raise ``NotConfigured``.

    ``spool`` (or ``CALLBOARD_SPOOL``) is a folder that keeps what a process could not tell before it ended; the next
    client with that folder tells it. ``strict`` lets a job raise when the board does not take what it says. ``timeout``
    is in seconds.

    One client serves all threads of a process and its forks. Close it, or use it as a block, to be sure that all was
    told; at the end of the process it closes by itself.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        runner: str | None = None,
        spool: str | os.PathLike[str] | None = None,
        strict: bool = False,
        interval: float = INTERVAL,
    ) -> None:
        # As they were given: what stands in the environment stands in that of another process as well.
        self._settings = (url, token, timeout, runner, spool, strict, interval)
        url = url or os.environ.get("CALLBOARD_URL")
        token = token or os.environ.get("CALLBOARD_TOKEN")
        spool = spool or os.environ.get("CALLBOARD_SPOOL")
        self._strict = strict
        self._runner = runner
        self._board: Board | None = None
        self._sender: Sender | None = None
        if url and token:
            self._board = Board(url, token, timeout)
            self._sender = Sender(self._board, interval=interval, spool=_spool(spool, url, token))
        else:
            missing = "CALLBOARD_URL" if not url else "CALLBOARD_TOKEN"
            log.warning("%s is not set: no board hears of the jobs of this process.", missing)

    # --- jobs that report by themselves --------------------------------------------------------------------------

    def job(
        self,
        type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        tags: Sequence[str] = (),
        max_duration: int | None = None,
        heartbeat_timeout: int | None = HEARTBEAT_TIMEOUT,
        parent: Parent | None = None,
        link: str | None = None,
        key: str | None = None,
    ) -> Job:
        """A new job: a block for ``with`` that does its work, or ``.enqueue()`` to leave it to a worker.

        ``key`` is the runner's own id for it: a second job with the same key and the same content is the first one.
        ``max_duration`` and ``heartbeat_timeout`` are seconds; without the latter a dead runner's job runs for ever.
        """
        new = _new(type, payload, tags, max_duration, heartbeat_timeout, parent, link)
        silent = new.get("heartbeat_timeout")
        every = min(HEARTBEAT_INTERVAL, silent / 3) if isinstance(silent, int | float) else HEARTBEAT_INTERVAL
        later = parent if isinstance(parent, Job) and parent.id is None else None
        return self._at_work(every, new=new, key=key_of(key or uuid.uuid4()), parent=later)

    def attach(self, job_id: str | uuid.UUID, *, heartbeat_interval: float = HEARTBEAT_INTERVAL) -> Job:
        """A job that was created before, here or elsewhere: a block for ``with`` that does its work."""
        return self._at_work(heartbeat_interval, job_id=str(job_id))

    def _at_work(self, heartbeat_interval: float, **which: Any) -> Job:
        runner = self._runner or f"{socket.gethostname()}:{os.getpid()}"
        return Job(self._sender, runner=runner, heartbeat_interval=heartbeat_interval, strict=self._strict, **which)

    @overload
    def track(self, type: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def track(self, type: str | None = None, **about: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def track(self, type: Any = None, **about: Any) -> Any:
        """A decorator: each call of the function is a job, of the function's name unless ``type`` says another.

        ``about`` is what ``job`` takes. The function reports with ``current_job()``. A mapping that it returns is the
        job's result. Functions with ``async`` are awaited as they are. Raises ``TypeError`` for a generator function:
        its call ends before its work begins.
        """

        def tracked(function: Callable[P, R]) -> Callable[P, R]:
            name = type if isinstance(type, str) else function.__name__
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                raise TypeError("A generator function is no job; use a block with client.job(…) inside of it.")
            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                    async with self.job(name, **about) as job:
                        return _noted(job, await function(*args, **kwargs))

                return cast(Callable[P, R], run_async)

            @functools.wraps(function)
            def run(*args: P.args, **kwargs: P.kwargs) -> R:
                with self.job(name, **about) as job:
                    return _noted(job, function(*args, **kwargs))

            return run

        return tracked(type) if callable(type) else tracked

    # --- the four verbs ------------------------------------------------------------------------------------------

    def enqueue_job(
        self,
        type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        tags: Sequence[str] = (),
        max_duration: int | None = None,
        heartbeat_timeout: int | None = None,
        parent: Parent | None = None,
        link: str | None = None,
        key: str | None = None,
    ) -> JobRecord:
        """Create a pending job. Sent again after a failure it is created once; with ``key`` once for ever.

        Raises ``BoardRefused`` and, after some tries, ``BoardUnreachable``.
        """
        new = _new(type, payload, tags, max_duration, heartbeat_timeout, parent, link)
        return self._job_of("POST", "/jobs", new, key=key_of(key or uuid.uuid4()))

    def update_job_status(
        self,
        job_id: str | uuid.UUID,
        status: JobStatus | None = None,
        *,
        progress: int | None = None,
        message: str | None = None,
        result: Mapping[str, Any] | None = None,
        error: str | None = None,
        link: str | None = None,
        runner: str | None = None,
    ) -> JobRecord:
        """Report on a job; with nothing said it is a sign of life.

        Raises ``JobCanceled`` or ``JobTimedOut`` when the job is to stop, ``JobConflict`` for another report that its
        status does not allow, ``JobNotFound``, ``BoardRefused`` and, after some tries, ``BoardUnreachable``.
        """
        sent = {
            "status": status,
            "progress": progress,
            "message": None if message is None else message_of(message),
            "result": plain_object(result),
            "error": None if error is None else ending(error, ERROR_LIMIT),
            "link": link,
            "runner": runner,
        }
        return self._job_of(
            "PATCH", path_of(job_id), {name: value for name, value in sent.items() if value is not None}
        )

    def get_job_status(self, job_id: str | uuid.UUID) -> JobRecord:
        """The job as it stands. Raises ``JobNotFound``, ``BoardRefused`` and, at last, ``BoardUnreachable``."""
        return self._job_of("GET", path_of(job_id))

    def cancel_job(self, job_id: str | uuid.UUID) -> JobRecord:
        """Cancel a job, for which the token needs ``jobs:cancel``. Raises ``JobConflict`` if it has ended already."""
        return self._job_of("POST", f"{path_of(job_id)}/cancel")

    # --- and to look around --------------------------------------------------------------------------------------

    def list_jobs(
        self,
        *,
        status: Sequence[JobStatus] = (),
        type: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
    ) -> Iterator[JobRecord]:
        """Jobs, newest first, all or so many; the board is asked page by page. Without ``payload`` and ``result``."""
        query: dict[str, Any] = {"status": list(status), "type": type, "tag": tag}
        left = limit
        while left is None or left > 0:
            query["limit"] = 100 if left is None else min(left, 100)
            page = self._asked("GET", "/jobs", query={name: value for name, value in query.items() if value})
            yield from map(record_of, page["data"])
            left = None if left is None else left - len(page["data"])
            query["cursor"] = page["next_cursor"]
            if not page["next_cursor"]:
                return

    def count_jobs(self) -> dict[JobStatus, dict[str, Any]]:
        """How many jobs of each status there are: ``{"count": 3, "capped": false}``; counting stops at 10,000."""
        found: dict[JobStatus, dict[str, Any]] = self._asked("GET", "/jobs/counts")
        return found

    def list_log_lines(self, job_id: str | uuid.UUID, after: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Lines of a job's log with higher numbers than ``after``, and the number to go on from."""
        page = self._asked("GET", f"{path_of(job_id)}/logs", query={"after": after})
        return page["data"], page["next_after"]

    def list_events(self, job_id: str | uuid.UUID) -> list[dict[str, Any]]:
        """The history of a job, oldest first."""
        found: list[dict[str, Any]] = self._asked("GET", f"{path_of(job_id)}/events")["data"]
        return found

    def _job_of(self, method: str, path: str, body: object = None, *, key: str | None = None) -> JobRecord:
        return record_of(self._asked(method, path, body, key=key))

    def _asked(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        if self._board is None:
            raise NotConfigured("CALLBOARD_URL and CALLBOARD_TOKEN say which board; one of them is not set.")
        for wait in RETRIES:
            try:
                return self._board.call(method, path, body, key=key, query=query)
            except BoardUnreachable as error:
                time.sleep(max(wait, min(error.retry_after or 0.0, 5.0)) * random.uniform(0.8, 1.2))  # noqa: S311
        return self._board.call(method, path, body, key=key, query=query)

    # --- its end -------------------------------------------------------------------------------------------------

    def flush(self, timeout: float = 5.0) -> bool:
        """Tell all that waits, within so many seconds and unless the board is away; whether all was told."""
        return self._sender is None or self._sender.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Tell all that waits, as ``flush``, and end. Jobs that are at work tell nothing more."""
        if self._sender is not None:
            self._sender.close(timeout)
        if self._board is not None:
            self._board.close()

    def __reduce__(self) -> Any:
        """In another process it is a client with the same settings, a token among them if one was given here."""
        return _same_client, self._settings

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@functools.cache
def _same_client(
    url: str | None,
    token: str | None,
    timeout: float,
    runner: str | None,
    spool: str | os.PathLike[str] | None,
    strict: bool,
    interval: float,
) -> Client:
    return Client(url, token, timeout=timeout, runner=runner, spool=spool, strict=strict, interval=interval)


def _spool(folder: str | os.PathLike[str] | None, url: str, token: str) -> Spool | None:
    if not folder:
        return None
    try:
        return Spool(Path(folder), url, token)
    except OSError as error:
        log.warning("There is no spool, what the board cannot be told waits in memory alone: %s", error)
        return None


def _new(
    type: str,
    payload: Mapping[str, Any] | None,
    tags: Sequence[str],
    max_duration: int | None,
    heartbeat_timeout: int | None,
    parent: Parent | None,
    link: str | None,
) -> dict[str, Any]:
    whose = parent.id if isinstance(parent, Job | JobRecord) else parent
    body = {
        "type": text(type)[:200],
        "payload": plain_object(payload),
        "tags": [text(tag) for tag in tags] or None,
        "max_duration": seconds(max_duration),
        "heartbeat_timeout": seconds(heartbeat_timeout),
        "parent_id": None if whose is None else text(whose),
        "link": None if link is None else text(link),
    }
    return {name: value for name, value in body.items() if value is not None}


def _noted(job: Job, returned: R) -> R:
    if isinstance(returned, Mapping) and job.result is None:
        job.result = returned
    return returned
