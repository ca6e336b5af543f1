"""What adapters of task queues share: which job a task is, and what is said of its attempts.

Nothing here raises because of the board, but for ``JobStopped`` when a task is not to start.
"""

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from callboard_client._serialize import plain_object
from callboard_client.client import HEARTBEAT_TIMEOUT, Client
from callboard_client.errors import JobStopped
from callboard_client.job import Job

log = logging.getLogger("callboard_client")


class Tasks:
    """The tasks of one engine as jobs: who enqueues one and who works on it describe the same job alike."""

    def __init__(
        self,
        engine: str,
        client: Client,
        *,
        payload: bool = True,
        tags: Sequence[str] = (),
        heartbeat_timeout: int | None = HEARTBEAT_TIMEOUT,
        max_duration: int | None = None,
    ) -> None:
        self.client = client
        self._engine = engine
        self.payload = payload
        self._about: dict[str, Any] = {
            "tags": tags,
            "heartbeat_timeout": heartbeat_timeout,
            "max_duration": max_duration,
        }

    def job(self, name: str, task_id: str, args: Iterable[object], kwargs: Mapping[str, object]) -> Job:
        """The job of a task; the same one for everybody who names the same task."""
        payload = _payload(args, kwargs) if self.payload else None
        return self.client.job(name, payload, key=f"{self._engine}:{task_id}", **self._about)

    def enqueued(self, name: str, task_id: str, args: Iterable[object], kwargs: Mapping[str, object]) -> None:
        """Say that the task waits for its worker."""
        with _in_peace():
            self.job(name, task_id, args, kwargs).enqueue()


class Attempt:
    """One attempt at the job of a task, of so many at most, as far as the engine knows."""

    def __init__(self, job: Job, number: int | None = None, of: int | None = None) -> None:
        self.job = job
        self._name = "an attempt" if number is None else f"attempt {number}" + ("" if of is None else f" of {of}")
        self._again = number is not None and number > 1

    def start(self) -> None:
        """Say that the job runs. Raises ``JobStopped`` if it is not to run, which the board then knows."""
        with _in_peace():
            self.job.start(self._name if self._again else None)

    def complete(self, returned: object = None) -> None:
        """Say that the job completed, with what the task returned unless it set a result itself."""
        with _in_peace():
            self.job.complete(plain_object(returned) if self.job.result is None else None)

    def fail(self, error: str | BaseException) -> None:
        """Say that the job failed for good."""
        with _in_peace():
            self.job.fail(error)

    def retry(self, why: str | BaseException) -> None:
        """Say that the job goes on with another attempt, later."""
        with _in_peace():
            told = why if isinstance(why, str) else f"failed: {traceback.format_exception_only(why)[-1].strip()}"
            self.job.pause(f"{self._name} {told}")

    def report_stopped(self, message: str | None = None) -> None:
        """Say that the job has stopped, by the board's word or by the engine's."""
        with _in_peace():
            self.job.enqueue().report_stopped(message)


def _payload(args: Iterable[object], kwargs: Mapping[str, object]) -> dict[str, Any] | None:
    try:
        return plain_object({"args": list(args), "kwargs": dict(kwargs)})
    except Exception:
        log.warning("The arguments of a task cannot be told.", exc_info=True)
        return None


@contextmanager
def _in_peace() -> Iterator[None]:
    """Whatever fails in here is no fault of the task."""
    try:
        yield
    except JobStopped:
        raise
    except Exception:
        log.warning("The board was not told of a task.", exc_info=True)
