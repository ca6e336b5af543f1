"""Huey: every task is a job.

from callboard_client.integrations.huey import connect

connect(huey, Client())
"""

import functools
from typing import TYPE_CHECKING, Any

from huey import signals
from huey.api import Huey, Task
from huey.exceptions import CancelExecution

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, TaskJobs

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client.integrations._base import TaskOptions


class _Listener:
    """Follow the signals and hooks of Huey."""

    def __init__(self, huey: Huey, tasks: TaskJobs) -> None:
        self._huey = huey
        self._tasks = tasks
        self._attempts: dict[str, Attempt] = {}

    def on_enqueued(self, signal: str, task: Task) -> None:
        if task.id not in self._attempts:
            # The arguments as the worker will find them.
            huey = self._huey
            received = task if huey.immediate else huey.deserialize_task(huey.serialize_task(task))
            self._tasks.enqueue(received.name, received.id, received.args, received.kwargs)

    def before_run(self, task: Task) -> None:
        attempt = self._make_attempt(task)
        run = functools.partial(type(task).execute, task)

        def execute() -> Any:
            self._attempts[task.id] = attempt
            try:
                attempt.start()
                with attempt.job.as_current():
                    return run()
            except JobStopped as stop:
                # It may be another job that was to stop.
                if not attempt.job.stop_requested:
                    raise
                raise CancelExecution(str(stop), retry=False) from stop

        task.execute = execute

    def after_run(self, task: Task, value: Any, error: BaseException | None) -> None:
        attempt = self._attempts.pop(task.id, None)
        if attempt is None:
            return
        if error is None:
            attempt.complete(value)
        elif task.retries:
            attempt.retry(error)
        elif isinstance(error, CancelExecution):
            attempt.report_stopped(None if isinstance(error.__cause__, JobStopped) else str(error) or None)
        else:
            attempt.fail(error)

    def on_not_run(self, signal: str, task: Task) -> None:
        if task.id not in self._attempts:
            self._make_attempt(task).report_stopped(f"Huey did not run it: {signal}.")

    def on_interrupted(self, signal: str, task: Task) -> None:
        if attempt := self._attempts.pop(task.id, None):
            attempt.fail("The worker was stopped before the task had ended.")

    def _make_attempt(self, task: Task) -> Attempt:
        job = self._tasks.job(task.name, task.id, task.args, task.kwargs)
        retries = type(task).default_retries
        # A call may ask for more retries than the task has; then nothing tells how many.
        return Attempt(job, retries - task.retries + 1, retries + 1) if task.retries <= retries else Attempt(job)


def connect(huey: Huey, client: Client, **options: "Unpack[TaskOptions]") -> None:
    """Report every task of ``huey``. Call it where ``huey`` is made, for producers and workers.

    ``options``: of all jobs, see ``TaskOptions``: ``payload``, ``tags``, ``max_duration``, ``heartbeat_timeout``.

    Within a task ``current_job()`` is its job. A cancel raises ``JobStopped`` from its next report; Huey takes that for
    ``CancelExecution`` and does not try again.
    """
    listener = _Listener(huey, TaskJobs("huey", client, **options))
    huey.signal(signals.SIGNAL_ENQUEUED)(listener.on_enqueued)
    huey.pre_execute("callboard")(listener.before_run)
    huey.post_execute("callboard")(listener.after_run)
    huey.signal(signals.SIGNAL_REVOKED, signals.SIGNAL_CANCELED, signals.SIGNAL_EXPIRED)(listener.on_not_run)
    huey.signal(signals.SIGNAL_INTERRUPTED)(listener.on_interrupted)
    huey.on_shutdown("callboard")(client.flush)
