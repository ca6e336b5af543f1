"""``concurrent.futures``: every call that is submitted is a job, in threads and in processes."""

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from callboard_client.client import Client
from callboard_client.integrations._base import TaskJobs
from callboard_client.job import Job

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client.integrations._base import TaskOptions

P = ParamSpec("P")
R = TypeVar("R")


class TrackedExecutor(Executor):
    """Submit calls to another executor, and report them: ``TrackedExecutor(ThreadPoolExecutor(4), Client())``.

    A job is pending from the call of ``submit`` on, and ends as its future does. A job that is canceled on the board
    raises ``JobStopped`` from its future; a future that is canceled cancels its job.

    A process of a ``ProcessPoolExecutor`` has a client of its own; the token goes there with the call.
    """

    def __init__(
        self, executor: Executor, client: Client, *, type: str | None = None, **options: "Unpack[TaskOptions]"
    ) -> None:
        """Wrap an executor.

        ``type``: of all jobs; the name of the submitted function unless given.
        ``options``: of all jobs, see ``TaskOptions``: ``payload``, ``tags``, ``max_duration``, ``heartbeat_timeout``.
        """
        self._executor = executor
        self._type = type
        self._tasks = TaskJobs("future", client, **options)

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Submit a call, as the executor's own ``submit``."""
        # The arguments as they are now: until its turn whoever submits may change them, and both must show the same.
        payload = self._tasks.payload(args, kwargs)
        name = self._type or str(getattr(function, "__name__", type(function).__name__))
        call_id = str(uuid.uuid4())
        job = self._tasks.job_with_payload(name, call_id, payload).enqueue(wait=False)
        call = partial(_call, self._tasks, name, call_id, payload, partial(function, *args, **kwargs))
        try:
            future: Future[R] = self._executor.submit(call)
        except BaseException as error:
            job.fail(error)
            raise
        future.add_done_callback(partial(_report_unrun, job))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down, as its own ``shutdown``."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _call(tasks: TaskJobs, name: str, call_id: str, payload: Mapping[str, Any] | None, function: Callable[[], R]) -> R:
    """Do the work of the job that was submitted, in a thread or a process of the pool."""
    with tasks.job_with_payload(name, call_id, payload) as job:
        returned = function()
        if job.result is None:
            job.result = returned
    return returned


def _report_unrun(job: Job, future: "Future[Any]") -> None:
    """Report what the work itself could not: that it never ran, or that its process died."""
    if future.cancelled():
        job.report_stopped("The future was canceled.")
    elif isinstance(error := future.exception(), BrokenExecutor):
        job.fail(error)
