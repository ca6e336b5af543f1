"""Report jobs to a board, and ask it about them."""

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
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from callboard_client._options import HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, Parent, new_job_body
from callboard_client._sender import INTERVAL, Sender
from callboard_client._serialize import clean_error, clean_message, idempotency_key, serialize_object
from callboard_client._spool import Spool, open_spool
from callboard_client._transport import HttpTransport, Transport, job_path, parse_job
from callboard_client.errors import BoardUnreachable, NotConfigured
from callboard_client.job import Job
from callboard_client.record import JobRecord, JobStatus

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client._options import JobOptions

log = logging.getLogger("callboard_client")

RETRY_PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds before a request is made again."""
MAX_RETRY_AFTER = 5.0
"""Seconds that the board may ask for before it is asked again."""
PAGE_SIZE = 100

P = ParamSpec("P")
R = TypeVar("R")


class Client:
    """Report jobs to the board that ``url`` and ``token``, or ``CALLBOARD_URL`` and ``CALLBOARD_TOKEN``, name.

    Without an address or a token jobs run as they would without a board: ``job``, ``attach`` and ``track`` report
    nothing, and the log says so once; the verbs raise ``NotConfigured``.

    One client serves all threads of a process and its forks. Close it, or use it as a block, to be sure that all was
    sent; at the end of the process it closes by itself.
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
        """Make a client. Nothing is sent before the first job.

        ``url``, ``token``: of the board; ``CALLBOARD_URL`` and ``CALLBOARD_TOKEN`` unless given.
        ``timeout``: seconds for a request.
        ``runner``: who does the work, as the board shows it; ``host:pid`` unless given.
        ``spool``: a folder that keeps what a process could not send before it ended; the next client with that folder
        sends it. ``CALLBOARD_SPOOL`` unless given.
        ``strict``: whether a job raises when the board cannot be reached or refuses a report.
        ``interval``: seconds from one round of requests to the next, unless one of them starts or ends a job.
        """
        # As they were given: what stands in the environment stands in that of another process as well.
        self._settings = (url, token, timeout, runner, spool, strict, interval)
        url = url or os.environ.get("CALLBOARD_URL")
        token = token or os.environ.get("CALLBOARD_TOKEN")
        spool = spool or os.environ.get("CALLBOARD_SPOOL")
        self._strict = strict
        self._runner = runner
        self._transport: Transport | None = None
        self._sender: Sender | None = None
        if url and token:
            self._transport = HttpTransport(url, token, timeout)
            self._sender = Sender(self._transport, interval=interval, spool=_open_spool(spool, url, token))
        else:
            missing = "CALLBOARD_URL" if not url else "CALLBOARD_TOKEN"
            log.warning("%s is not set: the jobs of this process are not reported to a board.", missing)

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
        """Return a new job: a block for ``with`` that does its work, or ``.enqueue()`` to leave it to a worker.

        ``tags``: words to find it by.
        ``max_duration``: seconds after which the board fails it as timed out.
        ``heartbeat_timeout``: seconds without a report after which the board fails it as lost; with ``None`` the job of
        a runner that died runs for ever.
        ``parent``: the job that it belongs to.
        ``link``: the address of a page about it.
        ``key``: the runner's own id for it: a second job with the same key and the same content is the first one.
        """
        body = new_job_body(type, payload, tags, max_duration, heartbeat_timeout, parent, link)
        timeout = body.get("heartbeat_timeout")
        interval = min(HEARTBEAT_INTERVAL, timeout / 3) if isinstance(timeout, int | float) else HEARTBEAT_INTERVAL
        # A parent that has no id yet has one when this job is created.
        new_parent = parent if isinstance(parent, Job) and parent.id is None else None
        return self._make_job(interval, body=body, key=idempotency_key(key or uuid.uuid4()), parent=new_parent)

    def attach(self, job_id: str | uuid.UUID, *, heartbeat_interval: float = HEARTBEAT_INTERVAL) -> Job:
        """Return a job that was created before, here or elsewhere: a block for ``with`` that does its work.

        ``heartbeat_interval``: seconds from one heartbeat to the next.
        """
        return self._make_job(heartbeat_interval, job_id=str(job_id))

    def _make_job(self, heartbeat_interval: float, **identity: Any) -> Job:
        runner = self._runner or f"{socket.gethostname()}:{os.getpid()}"
        return Job(self._sender, runner=runner, heartbeat_interval=heartbeat_interval, strict=self._strict, **identity)

    @overload
    def track(self, type: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def track(
        self, type: str | None = None, **options: "Unpack[JobOptions]"
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def track(self, type: Any = None, **options: Any) -> Any:
        """Decorate a function: each call is a job, of the function's name unless ``type`` is given.

        The other options are those of ``job``. The function reports with ``current_job()``. A mapping that it returns
        is the job's result. A coroutine function stays one. Raises ``TypeError`` for a generator function: its call
        ends before its work begins.
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            name = type if isinstance(type, str) else function.__name__
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                raise TypeError("A generator function cannot be a job; use a block with client.job(…) inside of it.")
            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                    async with self.job(name, **options) as job:
                        return _keep_result(job, await function(*args, **kwargs))

                return cast(Callable[P, R], run_async)

            @functools.wraps(function)
            def run(*args: P.args, **kwargs: P.kwargs) -> R:
                with self.job(name, **options) as job:
                    return _keep_result(job, function(*args, **kwargs))

            return run

        return decorate(type) if callable(type) else decorate

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
        """Create a pending job; the options are those of ``job``. Sent again after a failure it is created once.

        Raises ``BoardRefused`` and, after some tries, ``BoardUnreachable``.
        """
        body = new_job_body(type, payload, tags, max_duration, heartbeat_timeout, parent, link)
        return self._request_job("POST", "/jobs", body, key=idempotency_key(key or uuid.uuid4()))

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
        """Report on a job; without anything to report it is a heartbeat.

        Raises ``JobCanceled`` or ``JobTimedOut`` when the job is to stop, ``JobConflict`` for another report that its
        status does not allow, ``JobNotFound``, ``BoardRefused`` and, after some tries, ``BoardUnreachable``.
        """
        body = {
            "status": status,
            "progress": progress,
            "message": None if message is None else clean_message(message),
            "result": serialize_object(result),
            "error": None if error is None else clean_error(error),
            "link": link,
            "runner": runner,
        }
        return self._request_job(
            "PATCH", job_path(job_id), {name: value for name, value in body.items() if value is not None}
        )

    def get_job_status(self, job_id: str | uuid.UUID) -> JobRecord:
        """Return the job as it stands. Raises ``JobNotFound``, ``BoardRefused`` and, at last, ``BoardUnreachable``."""
        return self._request_job("GET", job_path(job_id))

    def cancel_job(self, job_id: str | uuid.UUID) -> JobRecord:
        """Cancel a job, for which the token needs ``jobs:cancel``. Raises ``JobConflict`` if it has ended already."""
        return self._request_job("POST", f"{job_path(job_id)}/cancel")

    # --- and to look around --------------------------------------------------------------------------------------

    def list_jobs(
        self,
        *,
        status: Sequence[JobStatus] = (),
        type: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
    ) -> Iterator[JobRecord]:
        """Yield jobs, newest first, requesting page by page. They come without ``payload`` and ``result``."""
        query: dict[str, Any] = {"status": list(status), "type": type, "tag": tag}
        left = limit
        while left is None or left > 0:
            query["limit"] = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
            page = self._request_page("/jobs", {name: value for name, value in query.items() if value})
            yield from map(parse_job, page["data"])
            left = None if left is None else left - len(page["data"])
            query["cursor"] = page.get("next_cursor")
            if not query["cursor"]:
                return

    def count_jobs(self) -> dict[JobStatus, dict[str, Any]]:
        """Return how many jobs of each status there are: ``{"count": 3, "capped": false}``; it counts up to 10,000."""
        counts: dict[JobStatus, dict[str, Any]] = self._request("GET", "/jobs/counts")
        return counts

    def list_log_lines(self, job_id: str | uuid.UUID, after: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the lines of a job's log with higher numbers than ``after``, and the number to go on from."""
        page = self._request_page(f"{job_path(job_id)}/logs", {"after": after})
        return page["data"], page.get("next_after", after)

    def list_events(self, job_id: str | uuid.UUID) -> list[dict[str, Any]]:
        """Return the history of a job, oldest first, requesting page by page."""
        events: list[dict[str, Any]] = []
        query: dict[str, Any] = {}
        while True:
            page = self._request_page(f"{job_path(job_id)}/events", query)
            events += page["data"]
            query["cursor"] = page.get("next_cursor")
            if not query["cursor"]:
                return events

    def _request_page(self, path: str, query: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return one page of a list. Raises ``BoardUnreachable`` if it is none, for then no board answered."""
        page = self._request("GET", path, query=query)
        if not isinstance(page, Mapping) or not isinstance(page.get("data"), list):
            raise BoardUnreachable("The answer is not from a board.")
        return page

    def _request_job(self, method: str, path: str, body: object = None, *, key: str | None = None) -> JobRecord:
        return parse_job(self._request(method, path, body, key=key))

    def _request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        if self._transport is None:
            raise NotConfigured("CALLBOARD_URL and CALLBOARD_TOKEN name the board; one of them is not set.")
        for pause in RETRY_PAUSES:
            try:
                return self._transport.request(method, path, body, key=key, query=query)
            except BoardUnreachable as error:
                retry_after = min(error.retry_after or 0.0, MAX_RETRY_AFTER)
                time.sleep(max(pause, retry_after) * random.uniform(0.8, 1.2))  # noqa: S311
        return self._transport.request(method, path, body, key=key, query=query)

    # --- its end -------------------------------------------------------------------------------------------------

    def flush(self, timeout: float = 5.0) -> bool:
        """Send all that waits, within so many seconds and unless the board is away; return whether all was sent."""
        return self._sender is None or self._sender.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Send all that waits, as ``flush``, and end. Jobs that still run report nothing more."""
        if self._sender is not None:
            self._sender.close(timeout)
        if self._transport is not None:
            self._transport.close()

    def __reduce__(self) -> Any:
        """Become a client with the same settings in another process, a token among them if one was given here."""
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


def _open_spool(folder: str | os.PathLike[str] | None, url: str, token: str) -> Spool | None:
    if not folder:
        return None
    try:
        return open_spool(Path(folder), url, token)
    except OSError as error:
        log.warning("There is no spool; reports that cannot be sent wait in memory alone: %s", error)
        return None


def _keep_result(job: Job, returned: R) -> R:
    if isinstance(returned, Mapping) and job.result is None:
        job.result = returned
    return returned
