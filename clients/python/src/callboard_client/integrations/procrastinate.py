"""Procrastinate: every task is a job. ``connect(app, Client())`` in the module of the app, for workers and for others.

Deferring creates the job as pending, a worker starts and ends it, a retry is a message of the same job. Both find it by
Procrastinate's own id of the job.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from procrastinate import App
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job as DeferredJob
from procrastinate.retry import RetryStrategy
from procrastinate.worker import Worker

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, TaskJobs
from callboard_client.job import Job

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client.integrations._base import TaskOptions


class TaskStopped(JobStopped, JobAborted):
    """``JobStopped`` as Procrastinate understands it: aborted, and nothing to be tried again."""

    def __init__(self, stop: JobStopped) -> None:
        super().__init__(stop.code, str(stop), stop.job)


class _Listener:
    """Follow what is deferred and what workers do."""

    def __init__(self, tasks: TaskJobs) -> None:
        self._tasks = tasks

    def _job(self, deferred: DeferredJob) -> Job:
        return self._tasks.job(deferred.task_name, str(deferred.id), (), deferred.task_kwargs)

    def _enqueue(self, deferred: Sequence[DeferredJob]) -> None:
        for each in deferred:
            if not _is_internal(each):
                self._job(each).enqueue(wait=False)

    def reporting(self, defer: Callable[..., list[DeferredJob]]) -> Callable[..., list[DeferredJob]]:
        """Wrap a function that defers jobs, to report them."""

        @functools.wraps(defer)
        def defer_and_report(*args: Any, **kwargs: Any) -> list[DeferredJob]:
            deferred = defer(*args, **kwargs)
            self._enqueue(deferred)
            return deferred

        return defer_and_report

    def reporting_async(
        self, defer: Callable[..., Awaitable[list[DeferredJob]]]
    ) -> Callable[..., Awaitable[list[DeferredJob]]]:
        """Wrap a coroutine function that defers jobs, to report them."""

        @functools.wraps(defer)
        async def defer_and_report(*args: Any, **kwargs: Any) -> list[DeferredJob]:
            deferred = await defer(*args, **kwargs)
            self._enqueue(deferred)
            return deferred

        return defer_and_report

    async def around(self, run: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Run a job in a worker, whether its task is a coroutine or runs in a thread, and report it."""
        if _is_internal(context.job):
            return await run()
        attempt = _make_attempt(self._job(context.job), context)
        job = attempt.job
        job.stop_exception = TaskStopped
        await asyncio.to_thread(attempt.start)
        self._abort_on_stop(job, context)
        job.set_current()
        try:
            returned = await run()
        except BaseException as error:
            await asyncio.to_thread(_report_failure, attempt, context, error)
            if isinstance(error, asyncio.CancelledError) and job.stop_requested:
                raise JobAborted from error
            raise
        finally:
            job.reset_current()
        await asyncio.to_thread(attempt.complete, returned)
        return returned

    def _abort_on_stop(self, job: Job, context: JobContext) -> None:
        """Let Procrastinate abort the task: a coroutine is canceled, a thread finds ``context.should_abort()``."""
        loop = asyncio.get_running_loop()
        abort = context.app.job_manager.cancel_job_by_id_async

        def stop(_: JobStopped) -> None:
            assert context.job.id is not None
            asyncio.run_coroutine_threadsafe(abort(context.job.id, abort=True), loop)

        job.on_stop(stop)


def connect(app: App, client: Client, *, name: str = "procrastinate", **options: "Unpack[TaskOptions]") -> None:
    """Report all tasks of the app but Procrastinate's own.

    ``name``: tells one database of Procrastinate from another one in the same workspace: each counts its jobs from 1.
    ``options``: of all jobs, see ``TaskOptions``: ``payload``, ``tags``, ``max_duration``, ``heartbeat_timeout``.
    """
    listener = _Listener(TaskJobs(name, client, **options))
    app.worker_defaults["worker_middleware"] = [*app.worker_defaults.get("worker_middleware", ()), listener.around]
    # There is no signal for what is deferred: these are the two ways into the queue, to which all others lead.
    manager: Any = app.job_manager
    manager.batch_defer_jobs = listener.reporting(manager.batch_defer_jobs)
    manager.batch_defer_jobs_async = listener.reporting_async(manager.batch_defer_jobs_async)


def _report_failure(attempt: Attempt, context: JobContext, error: BaseException) -> None:
    """Report what becomes of the task, which Procrastinate is about to decide by the same rules."""
    is_aborted = isinstance(error, JobAborted | asyncio.CancelledError)
    is_shutdown = context.abort_reason() is AbortReason.SHUTDOWN
    if is_aborted and attempt.job.stop_requested:
        attempt.report_stopped()
    elif (not isinstance(error, JobAborted) or is_shutdown) and context.task.get_retry_exception(
        exception=error, job=context.job
    ):
        attempt.retry("was interrupted: its worker ends" if is_aborted else error)
    elif is_aborted:
        attempt.report_stopped("Its worker was ended." if is_shutdown else "Procrastinate aborted it.")
    else:
        attempt.fail(error)


def _make_attempt(job: Job, context: JobContext) -> Attempt:
    strategy = context.task.retry_strategy
    retries = strategy.max_attempts if isinstance(strategy, RetryStrategy) else None
    return Attempt(job, context.job.attempts + 1, retries + 1 if retries else None)


def _is_internal(deferred: DeferredJob) -> bool:
    return deferred.task_name.startswith(("builtin:", "procrastinate."))
