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
from typing import Any

from apscheduler.events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_SCHEDULER_STARTED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.schedulers.base import BaseScheduler

from callboard_client.client import HEARTBEAT_TIMEOUT, Client
from callboard_client.errors import JobStopped
from callboard_client.job import Job


def connect(
    scheduler: BaseScheduler,
    client: Client,
    *,
    payload: bool = True,
    tags: Sequence[str] = (),
    max_duration: int | None = None,
    heartbeat_timeout: int | None = HEARTBEAT_TIMEOUT,
) -> None:
    """Tell the board of all runs. The type of a job is the name of the scheduled one, its payload the arguments.

    ``payload=False`` keeps these from the board.
    """
    about: dict[str, Any] = {"tags": tags, "max_duration": max_duration, "heartbeat_timeout": heartbeat_timeout}
    tracked = _Runs(scheduler, client, about, payload)
    scheduler.add_listener(tracked.take_executors, EVENT_EXECUTOR_ADDED | EVENT_SCHEDULER_STARTED)
    scheduler.add_listener(tracked.missed, EVENT_JOB_MISSED)
    scheduler.add_listener(tracked.omitted, EVENT_JOB_MAX_INSTANCES)
    tracked.take_executors()


@dataclass
class _Scheduled:
    """What an executor asks of a scheduled job, with another function. It may have to go to another process."""

    id: str
    name: str
    func: Callable[..., Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]
    misfire_grace_time: int | None
    max_instances: int
    _jobstore_alias: str
    told: str

    def __str__(self) -> str:
        """What APScheduler's log calls it."""
        return self.told


class _Runs:
    def __init__(self, scheduler: BaseScheduler, client: Client, about: dict[str, Any], payload: bool) -> None:
        self._scheduler = scheduler
        self._client = client
        self._about = about
        self._payload = payload

    def take_executors(self, event: object = None) -> None:
        """Let each executor submit the tracked function instead of the scheduled one."""
        for executor in self._scheduler._executors.values():
            if "submit_job" not in vars(executor):
                executor.submit_job = functools.partial(self._submit, executor.submit_job)

    def _submit(
        self, submit: Callable[[Any, Sequence[datetime]], None], job: Any, run_times: Sequence[datetime]
    ) -> None:
        new = functools.partial(self._client.job, job.name, self._arguments(job), **self._about)
        kind = _async_run if inspect.iscoroutinefunction(job.func) else _run
        func = functools.partial(kind, new, job.func)
        known = (job.args, job.kwargs, job.misfire_grace_time, job.max_instances, job._jobstore_alias, str(job))
        submit(_Scheduled(job.id, job.name, func, *known), run_times)

    def _arguments(self, job: Any) -> dict[str, Any] | None:
        return {"args": list(job.args), "kwargs": job.kwargs} if self._payload else None

    def missed(self, event: JobExecutionEvent) -> None:
        self._fail(event.job_id, event.scheduled_run_time, "was missed: the scheduler came too late")

    def omitted(self, event: JobSubmissionEvent) -> None:
        for run_time in event.scheduled_run_times:
            self._fail(event.job_id, run_time, "was left out: earlier ones are still at work")

    def _fail(self, job_id: str, run_time: datetime, why: str) -> None:
        scheduled = self._scheduler.get_job(job_id)
        name, told = (scheduled.name, self._arguments(scheduled)) if scheduled else (job_id, None)
        job = self._client.job(name, told, **self._about)
        text = f"The run of {run_time:%Y-%m-%d %H:%M:%S %Z} {why}."
        # This is the scheduler's own thread, or its loop: it has others to start, and does not wait for a board.
        threading.Thread(target=lambda: job.enqueue().fail(text), name="callboard-missed").start()


def _run(new: Callable[[], Job], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    job = new()
    try:
        with job:
            returned = function(*args, **kwargs)
            if returned is not None:
                job.result = returned
    except JobStopped:
        # An operator wanted it so; it is nothing that the scheduler should call an error.
        return None
    return returned


async def _async_run(new: Callable[[], Job], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    job = new()
    try:
        async with job:
            returned = await function(*args, **kwargs)
            if returned is not None:
                job.result = returned
    except JobStopped:
        return None
    return returned
