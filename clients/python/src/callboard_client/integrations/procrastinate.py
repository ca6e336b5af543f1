"""Procrastinate: every task is a job. ``connect(app, Client())`` in the module of the app, for workers and for others.

Deferring creates the job as pending, a worker starts and ends it, a retry is a message of the same job. Both find it by
Procrastinate's own id of the job.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from procrastinate import App
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job as Deferred
from procrastinate.retry import RetryStrategy
from procrastinate.worker import Worker

from callboard_client.client import HEARTBEAT_TIMEOUT, Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Tasks
from callboard_client.job import Job


class TaskStopped(JobStopped, JobAborted):
    """``JobStopped`` as Procrastinate understands it: aborted, and nothing to be tried again."""

    def __init__(self, stop: JobStopped) -> None:
        super().__init__(stop.code, str(stop), stop.job)


def connect(
    app: App,
    client: Client,
    *,
    name: str = "procrastinate",
    payload: bool = True,
    tags: Sequence[str] = (),
    max_duration: int | None = None,
    heartbeat_timeout: int | None = HEARTBEAT_TIMEOUT,
) -> None:
    """Tell the board of all tasks of the app but Procrastinate's own.

    ``name`` tells one database of Procrastinate from another one in the same workspace: each counts its jobs from 1.
    ``payload=False`` keeps the arguments of tasks from the board. ``heartbeat_timeout`` should be longer than a task
    waits for its next attempt: until then its job is silent.
    """
    about: dict[str, Any] = {"tags": tags, "max_duration": max_duration, "heartbeat_timeout": heartbeat_timeout}
    listener = _Listener(Tasks(name, client, payload=payload, **about))
    app.worker_defaults["worker_middleware"] = [*app.worker_defaults.get("worker_middleware", ()), listener.around]
    # Nobody is told of what is deferred: the two ways into the queue are, where all others lead.
    manager: Any = app.job_manager
    manager.batch_defer_jobs = listener.deferring(manager.batch_defer_jobs)
    manager.batch_defer_jobs_async = listener.deferring_async(manager.batch_defer_jobs_async)


class _Listener:
    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def _job(self, deferred: Deferred) -> Job:
        return self._tasks.job(deferred.task_name, str(deferred.id), (), deferred.task_kwargs)

    def _enqueue(self, deferred: Sequence[Deferred]) -> None:
        for each in deferred:
            if not _is_its_own(each):
                self._job(each).enqueue(wait=False)

    def deferring(self, defer: Callable[..., list[Deferred]]) -> Callable[..., list[Deferred]]:
        @functools.wraps(defer)
        def told(*args: Any, **kwargs: Any) -> list[Deferred]:
            deferred = defer(*args, **kwargs)
            self._enqueue(deferred)
            return deferred

        return told

    def deferring_async(
        self, defer: Callable[..., Awaitable[list[Deferred]]]
    ) -> Callable[..., Awaitable[list[Deferred]]]:
        @functools.wraps(defer)
        async def told(*args: Any, **kwargs: Any) -> list[Deferred]:
            deferred = await defer(*args, **kwargs)
            self._enqueue(deferred)
            return deferred

        return told

    async def around(self, run: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """A middleware of the worker: around every job, whether its task is a coroutine or runs in a thread."""
        if _is_its_own(context.job):
            return await run()
        job = self._job(context.job)
        job.stop_exception = TaskStopped
        await asyncio.to_thread(job.start, _attempt(context) if context.job.attempts else None)
        self._abort_on_stop(job, context)
        job.set_current()
        try:
            returned = await run()
        except BaseException as error:
            await asyncio.to_thread(_tell_failure, job, context, error)
            if isinstance(error, asyncio.CancelledError) and job.stop_requested:
                raise JobAborted from error
            raise
        finally:
            job.reset_current()
        await asyncio.to_thread(job.complete, returned)
        return returned

    def _abort_on_stop(self, job: Job, context: JobContext) -> None:
        """Let Procrastinate abort the task: a coroutine is canceled, a thread finds ``context.should_abort()``."""
        loop = asyncio.get_running_loop()
        abort = context.app.job_manager.cancel_job_by_id_async

        def stop(_: JobStopped) -> None:
            assert context.job.id is not None
            asyncio.run_coroutine_threadsafe(abort(context.job.id, abort=True), loop)

        job.on_stop(stop)


def _tell_failure(job: Job, context: JobContext, error: BaseException) -> None:
    """Say what becomes of the task, which Procrastinate is about to decide by the same rules."""
    aborted = isinstance(error, JobAborted | asyncio.CancelledError)
    shutdown = context.abort_reason() is AbortReason.SHUTDOWN
    if aborted and job.stop_requested:
        job.report_stopped()
    elif (not isinstance(error, JobAborted) or shutdown) and context.task.get_retry_exception(
        exception=error, job=context.job
    ):
        why = "was interrupted: its worker ends" if aborted else f"failed: {type(error).__name__}: {error}"
        job.pause(f"{_attempt(context)} {why}")
    elif aborted:
        job.report_stopped("Its worker was ended." if shutdown else "Procrastinate aborted it.")
    else:
        job.fail(error)


def _attempt(context: JobContext) -> str:
    strategy = context.task.retry_strategy
    most = strategy.max_attempts if isinstance(strategy, RetryStrategy) else None
    return f"attempt {context.job.attempts + 1}" + (f" of {most + 1}" if most else "")


def _is_its_own(deferred: Deferred) -> bool:
    return deferred.task_name.startswith(("builtin:", "procrastinate."))
