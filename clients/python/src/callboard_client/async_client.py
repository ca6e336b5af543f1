"""Use a board from ``asyncio``. Requests are made in threads, so that any event loop may be used."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from callboard_client._options import HEARTBEAT_INTERVAL
from callboard_client._sender import INTERVAL
from callboard_client.client import Client
from callboard_client.job import Job
from callboard_client.record import JobRecord, JobStatus

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client._options import JobOptions

P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient:
    """``Client`` for code with ``async``: the same arguments, verbs and errors, and verbs are awaited.

    ``job`` and ``attach`` return what ``Client`` returns: a block that is entered by ``async with``.
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
        """Make a client; the options are those of ``Client``."""
        self._client = Client(url, token, timeout=timeout, runner=runner, spool=spool, strict=strict, interval=interval)

    def job(self, type: str, payload: Mapping[str, Any] | None = None, **options: "Unpack[JobOptions]") -> Job:
        """Return a new job, as ``Client.job``: a block for ``async with``."""
        return self._client.job(type, payload, **options)

    def attach(self, job_id: str | uuid.UUID, *, heartbeat_interval: float = HEARTBEAT_INTERVAL) -> Job:
        """Return a job that was created before, as ``Client.attach``: a block for ``async with``."""
        return self._client.attach(job_id, heartbeat_interval=heartbeat_interval)

    @overload
    def track(self, type: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def track(
        self, type: str | None = None, **options: "Unpack[JobOptions]"
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def track(self, type: Any = None, **options: Any) -> Any:
        """Decorate a function so that each call is a job, as ``Client.track``."""
        return self._client.track(type, **options)

    async def enqueue_job(
        self, type: str, payload: Mapping[str, Any] | None = None, **options: "Unpack[JobOptions]"
    ) -> JobRecord:
        """Create a pending job, as ``Client.enqueue_job``."""
        return await asyncio.to_thread(self._client.enqueue_job, type, payload, **options)

    async def update_job_status(
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
        """Report on a job, as ``Client.update_job_status``."""
        return await asyncio.to_thread(
            self._client.update_job_status,
            job_id,
            status,
            progress=progress,
            message=message,
            result=result,
            error=error,
            link=link,
            runner=runner,
        )

    async def get_job_status(self, job_id: str | uuid.UUID) -> JobRecord:
        """Return the job as it stands, as ``Client.get_job_status``."""
        return await asyncio.to_thread(self._client.get_job_status, job_id)

    async def cancel_job(self, job_id: str | uuid.UUID) -> JobRecord:
        """Cancel a job, as ``Client.cancel_job``."""
        return await asyncio.to_thread(self._client.cancel_job, job_id)

    async def list_jobs(
        self,
        *,
        status: Sequence[JobStatus] = (),
        type: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[JobRecord]:
        """Yield jobs, newest first, as ``Client.list_jobs``."""
        jobs = self._client.list_jobs(status=status, type=type, tag=tag, limit=limit)
        while (job := await asyncio.to_thread(next, jobs, None)) is not None:
            yield job

    async def count_jobs(self) -> dict[JobStatus, dict[str, Any]]:
        """Return how many jobs of each status there are, as ``Client.count_jobs``."""
        return await asyncio.to_thread(self._client.count_jobs)

    async def list_log_lines(self, job_id: str | uuid.UUID, after: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return lines of a job's log, as ``Client.list_log_lines``."""
        return await asyncio.to_thread(self._client.list_log_lines, job_id, after)

    async def list_events(self, job_id: str | uuid.UUID) -> list[dict[str, Any]]:
        """Return the history of a job, as ``Client.list_events``."""
        return await asyncio.to_thread(self._client.list_events, job_id)

    async def flush(self, timeout: float = 5.0) -> bool:
        """Send all that waits, as ``Client.flush``."""
        return await asyncio.to_thread(self._client.flush, timeout)

    async def close(self, timeout: float = 5.0) -> None:
        """Send all that waits and end, as ``Client.close``."""
        await asyncio.to_thread(self._client.close, timeout)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
