"""``concurrent.futures``: every call that is submitted is a job, in threads and in processes."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from callboard_client._serialize import plain_object
from callboard_client.client import HEARTBEAT_TIMEOUT, Client
from callboard_client.job import Job

P = ParamSpec("P")
R = TypeVar("R")


class TrackedExecutor(Executor):
    """Submits to another executor, and tells the board: ``TrackedExecutor(ThreadPoolExecutor(4), Client())``.

    A job is pending from the call of ``submit`` on, of the function's name unless ``type`` says another, with the
    arguments as its payload unless that is turned off, and ends as its future does. A job that is canceled on the board
    raises ``JobStopped`` from its future; a future that is canceled cancels its job.

    A process of a ``ProcessPoolExecutor`` has a client of its own; the token goes there with the call.
    """

    def __init__(
        self,
        executor: Executor,
        client: Client,
        *,
        type: str | None = None,
        payload: bool = True,
        tags: Sequence[str] = (),
        max_duration: int | None = None,
        heartbeat_timeout: int | None = HEARTBEAT_TIMEOUT,
    ) -> None:
        self._executor = executor
        self._client = client
        self._type = type
        self._payload = payload
        self._about: dict[str, Any] = {
            "tags": tags,
            "max_duration": max_duration,
            "heartbeat_timeout": heartbeat_timeout,
        }

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """As the executor's own."""
        # As they are now: until its turn whoever submits may change them, and the same key is to mean the same job.
        told = plain_object({"args": args, "kwargs": kwargs}) if self._payload else None
        about = {**self._about, "key": f"future:{uuid.uuid4()}"}
        name = self._type or str(getattr(function, "__name__", type(function).__name__))
        job = self._client.job(name, told, **about).enqueue(wait=False)
        call = partial(_call, self._client, name, told, about, partial(function, *args, **kwargs))
        try:
            future: Future[R] = self._executor.submit(call)
        except BaseException as error:
            job.fail(error)
            raise
        future.add_done_callback(partial(_ended, job))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As the executor's own."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _call(
    client: Client, name: str, payload: Mapping[str, Any] | None, about: dict[str, Any], function: Callable[[], R]
) -> R:
    """In a thread or a process of the pool, do the work; the same key makes it the job that was submitted."""
    with client.job(name, payload, **about) as job:
        returned = function()
        if returned is not None:
            job.result = returned
    return returned


def _ended(job: Job, future: "Future[Any]") -> None:
    """What the work itself could not tell: that it never ran, or that its process died."""
    if future.cancelled():
        job.report_stopped("The future was canceled.")
    elif isinstance(error := future.exception(), BrokenExecutor):
        job.fail(error)
