"""The same for ``asyncio``: verbs that are awaited. Requests are made in threads, so that any loop may be used."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

from callboard_client.client import Client
from callboard_client.record import JobRecord, JobStatus


class AsyncClient:
    """``Client`` for code with ``async``; its arguments, its verbs and what they raise are the same.

    ``job``, ``attach`` and ``track`` are the client's own: their blocks are entered by ``async with``.
    """

    def __init__(self, url: str | None = None, token: str | None = None, **settings: Any) -> None:
        self._client = Client(url, token, **settings)
        self.job = self._client.job
        self.attach = self._client.attach
        self.track = self._client.track

    async def enqueue_job(self, type: str, payload: dict[str, Any] | None = None, **about: Any) -> JobRecord:
        """``Client.enqueue_job``."""
        return await asyncio.to_thread(self._client.enqueue_job, type, payload, **about)

    async def update_job_status(
        self, job_id: str | uuid.UUID, status: JobStatus | None = None, **news: Any
    ) -> JobRecord:
        """``Client.update_job_status``."""
        return await asyncio.to_thread(self._client.update_job_status, job_id, status, **news)

    async def get_job_status(self, job_id: str | uuid.UUID) -> JobRecord:
        """``Client.get_job_status``."""
        return await asyncio.to_thread(self._client.get_job_status, job_id)

    async def cancel_job(self, job_id: str | uuid.UUID) -> JobRecord:
        """``Client.cancel_job``."""
        return await asyncio.to_thread(self._client.cancel_job, job_id)

    async def list_jobs(self, **wanted: Any) -> AsyncIterator[JobRecord]:
        """``Client.list_jobs``."""
        found = self._client.list_jobs(**wanted)
        while (job := await asyncio.to_thread(next, found, None)) is not None:
            yield job

    async def flush(self, timeout: float = 5.0) -> bool:
        """``Client.flush``."""
        return await asyncio.to_thread(self._client.flush, timeout)

    async def close(self, timeout: float = 5.0) -> None:
        """``Client.close``."""
        await asyncio.to_thread(self._client.close, timeout)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
