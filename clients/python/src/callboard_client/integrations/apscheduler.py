"""APScheduler 3: every run of a scheduled job is a job. ``connect(scheduler, Client())`` before the scheduler starts.

A schedule has no queue: a job begins with its run. A run that was missed, or left out because the last one is still at
work, is a failed job, so that nobody needs to notice what did not happen.
"""

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apscheduler.events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_SCHEDULER_STARTED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.schedulers.base import BaseScheduler

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import TaskJobs
from callboard_client.job import Job

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client.integrations._base import TaskOptions


@dataclass
class _ScheduledJob:
    """What an executor needs of a scheduled job, with another function. It may have to go to another process."""

    id: str
    name: str
    func: Callable[..., Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]
    misfire_grace_time: int | None
    max_instances: int
    _jobstore_alias: str
    description: str

    def __str__(self) -> str:
        """Return what APScheduler's log calls it."""
        return self.description


class _Listener:
    """Follow the events of a scheduler, and wrap what its executors run."""

    def __init__(self, scheduler: BaseScheduler, tasks: TaskJobs) -> None:
        self._scheduler = scheduler
        self._tasks = tasks

    def wrap_executors(self, event: object = None) -> None:
        """Let each executor submit the reported function instead of the scheduled one."""
        for executor in self._scheduler._executors.values():
            if "submit_job" not in vars(executor):
                executor.submit_job = functools.partial(self._submit, executor.submit_job)

    def _submit(
        self, submit: Callable[[Any, Sequence[datetime]], None], job: Any, run_times: Sequence[datetime]
    ) -> None:
        make_job = functools.partial(self._tasks.job_with_payload, job.name, None, self._payload(job))
        run = _run_async if inspect.iscoroutinefunction(job.func) else _run
        function = functools.partial(run, make_job, job.func)
        rest = (job.args, job.kwargs, job.misfire_grace_time, job.max_instances, job._jobstore_alias, str(job))
        submit(_ScheduledJob(job.id, job.name, function, *rest), run_times)

    def _payload(self, scheduled: Any) -> dict[str, Any] | None:
        return self._tasks.payload(scheduled.args, scheduled.kwargs)

    def on_missed(self, event: JobExecutionEvent) -> None:
        self._fail(event.job_id, event.scheduled_run_time, "was missed: the scheduler came too late")

    def on_max_instances(self, event: JobSubmissionEvent) -> None:
        for run_time in event.scheduled_run_times:
            self._fail(event.job_id, run_time, "was left out: earlier ones are still at work")

    def _fail(self, job_id: str, run_time: datetime, reason: str) -> None:
        scheduled = self._scheduler.get_job(job_id)
        name, payload = (scheduled.name, self._payload(scheduled)) if scheduled else (job_id, None)
        job = self._tasks.job_with_payload(name, None, payload)
        error = f"The run of {run_time:%Y-%m-%d %H:%M:%S %Z} {reason}."
        # This is the scheduler's own thread, or its loop: it has others to start, and does not wait for a board.
        threading.Thread(target=lambda: job.enqueue().fail(error), name="callboard-missed").start()


def connect(scheduler: BaseScheduler, client: Client, **options: "Unpack[TaskOptions]") -> None:
    """Report all runs. The type of a job is the name of the scheduled one, its payload the arguments.

    ``options``: of all jobs, see ``TaskOptions``: ``payload``, ``tags``, ``max_duration``, ``heartbeat_timeout``.
    """
    listener = _Listener(scheduler, TaskJobs("apscheduler", client, **options))
    scheduler.add_listener(listener.wrap_executors, EVENT_EXECUTOR_ADDED | EVENT_SCHEDULER_STARTED)
    scheduler.add_listener(listener.on_missed, EVENT_JOB_MISSED)
    scheduler.add_listener(listener.on_max_instances, EVENT_JOB_MAX_INSTANCES)
    listener.wrap_executors()


def _run(make_job: Callable[[], Job], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    job = make_job()
    try:
        with job:
            returned = function(*args, **kwargs)
            if job.result is None:
                job.result = returned
    except JobStopped:
        # An operator stopped it; the scheduler should not log that as an error.
        return None
    return returned


async def _run_async(make_job: Callable[[], Job], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    job = make_job()
    try:
        async with job:
            returned = await function(*args, **kwargs)
            if job.result is None:
                job.result = returned
    except JobStopped:
        return None
    return returned
