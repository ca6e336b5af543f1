"""What all integrations share: the options of their jobs, which job a task is, and the reports of its attempts.

Nothing here raises because of the board, but for ``JobStopped`` when a task is not to start.
"""

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

from callboard_client._options import HEARTBEAT_TIMEOUT
from callboard_client._serialize import serialize_object
from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.job import Job

log = logging.getLogger("callboard_client")


class TaskOptions(TypedDict, total=False):
    """The options of every integration, for all of its jobs. Producers and workers must be given the same."""

    payload: bool
    """Whether a job's payload shows the arguments of its task, which may be secret. True unless given."""
    tags: Sequence[str]
    """Words to find the jobs by. None unless given."""
    max_duration: int | None
    """Seconds after which the board fails a job as timed out. No limit unless given."""
    heartbeat_timeout: int | None
    """Seconds without a report after which the board fails a job as lost: 60 unless given, ``None`` for no limit.

    Should be longer than a task waits for its next attempt, for until then nobody reports."""


class TaskJobs:
    """Make the jobs of an engine's tasks: who enqueues a task and who works on it describe the same job alike."""

    def __init__(
        self,
        engine: str,
        client: Client,
        *,
        payload: bool = True,
        tags: Sequence[str] = (),
        max_duration: int | None = None,
        heartbeat_timeout: int | None = HEARTBEAT_TIMEOUT,
    ) -> None:
        """``engine`` tells the ids of one engine's tasks from those of another. The options are ``TaskOptions``."""
        self.client = client
        self.shows_payload = payload
        self._engine = engine
        self._tags = tags
        self._max_duration = max_duration
        self._heartbeat_timeout = heartbeat_timeout

    def job(self, name: str, task_id: str, args: Iterable[object], kwargs: Mapping[str, object]) -> Job:
        """Return the job of a task: the same for everybody who names the same task."""
        return self.job_with_payload(name, task_id, self.payload(args, kwargs))

    def job_with_payload(self, name: str, task_id: str | None, payload: Mapping[str, Any] | None) -> Job:
        """Return the job of a task whose payload was made before; a new job where the task has no id."""
        return self.client.job(
            name,
            payload,
            tags=self._tags,
            max_duration=self._max_duration,
            heartbeat_timeout=self._heartbeat_timeout,
            key=None if task_id is None else f"{self._engine}:{task_id}",
        )

    def payload(self, args: Iterable[object], kwargs: Mapping[str, object]) -> dict[str, Any] | None:
        """Return the payload of a task with these arguments; ``None`` if they are not to be shown, or cannot be."""
        if not self.shows_payload:
            return None
        try:
            return serialize_object({"args": list(args), "kwargs": dict(kwargs)})
        except Exception:
            log.warning("The arguments of a task cannot be shown.", exc_info=True)
            return None

    def enqueue(self, name: str, task_id: str, args: Iterable[object], kwargs: Mapping[str, object]) -> None:
        """Report that the task waits for its worker."""
        with _log_errors():
            self.job(name, task_id, args, kwargs).enqueue()


class Attempt:
    """One attempt at the job of a task: number ``number`` of ``of``, as far as the engine knows them."""

    def __init__(self, job: Job, number: int | None = None, of: int | None = None) -> None:
        self.job = job
        self.name = "an attempt" if number is None else f"attempt {number}" + ("" if of is None else f" of {of}")
        self._is_retry = number is not None and number > 1

    def start(self) -> None:
        """Report that the job runs. Raises ``JobStopped`` if it is not to run, after reporting that it stopped."""
        with _log_errors():
            self.job.start(self.name if self._is_retry else None)

    def complete(self, returned: object = None) -> None:
        """Report that the job completed, with what the task returned unless it set a result itself."""
        with _log_errors():
            self.job.complete(serialize_object(returned) if self.job.result is None else None)

    def fail(self, error: str | BaseException) -> None:
        """Report that the job failed for good."""
        with _log_errors():
            self.job.fail(error)

    def retry(self, reason: str | BaseException) -> None:
        """Report that another attempt will follow, because of an error or for a reason like "was interrupted"."""
        with _log_errors():
            if isinstance(reason, BaseException):
                reason = f"failed: {traceback.format_exception_only(reason)[-1].strip()}"
            self.job.pause(f"{self.name} {reason}")

    def report_stopped(self, message: str | None = None) -> None:
        """Report that the job was canceled and has stopped, also if no worker had begun it."""
        with _log_errors():
            self.job.enqueue().report_stopped(message)


@contextmanager
def _log_errors() -> Iterator[None]:
    """Log what goes wrong in a report, for it is no fault of the task."""
    try:
        yield
    except JobStopped:
        raise
    except Exception:
        log.warning("A task was not reported to the board.", exc_info=True)
