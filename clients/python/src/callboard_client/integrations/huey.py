"""Huey: every task is a job.

import callboard_client.integrations.huey

callboard_client.integrations.huey.connect(huey, Client())
"""

import functools
from typing import Any

from huey import signals
from huey.api import Huey, Task
from huey.exceptions import CancelExecution

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, Tasks


def connect(huey: Huey, client: Client, **about: Any) -> None:
    """Tell the board of every task of ``huey``. Call it where ``huey`` is made: producers and workers say the same.

    ``payload=False`` leaves out the arguments, which may be secret. ``tags``, ``heartbeat_timeout`` and
    ``max_duration`` (seconds) are those of every job.

    Within a task ``current_job()`` is its job. A cancel raises ``JobStopped`` from its next report; Huey takes that for
    ``CancelExecution`` and does not try again.
    """
    tasks = Tasks("huey", client, **about)
    at_work: dict[str, Attempt] = {}

    def attempt_at(task: Task) -> Attempt:
        default = type(task).default_retries
        # More than its own were asked for at the call, and nobody remembers how many.
        known = task.retries <= default
        job = tasks.job(task.name, task.id, task.args, task.kwargs)
        return Attempt(job, default - task.retries + 1, default + 1) if known else Attempt(job)

    def enqueued(_: str, task: Task) -> None:
        if task.id not in at_work:
            # The arguments as the worker will find them.
            sent = task if huey.immediate else huey.deserialize_task(huey.serialize_task(task))
            tasks.enqueued(sent.name, sent.id, sent.args, sent.kwargs)

    def prepare(task: Task) -> None:
        attempt = attempt_at(task)
        run = functools.partial(type(task).execute, task)

        def execute() -> Any:
            at_work[task.id] = attempt
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

    def tell(task: Task, value: Any, error: BaseException | None) -> None:
        attempt = at_work.pop(task.id, None)
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

    def dropped(signal: str, task: Task) -> None:
        if task.id not in at_work:
            attempt_at(task).report_stopped(f"Huey did not run it: {signal}.")

    def interrupted(_: str, task: Task) -> None:
        if attempt := at_work.pop(task.id, None):
            attempt.fail("The worker was stopped before the task had ended.")

    huey.signal(signals.SIGNAL_ENQUEUED)(enqueued)
    huey.pre_execute("callboard")(prepare)
    huey.post_execute("callboard")(tell)
    huey.signal(signals.SIGNAL_REVOKED, signals.SIGNAL_CANCELED, signals.SIGNAL_EXPIRED)(dropped)
    huey.signal(signals.SIGNAL_INTERRUPTED)(interrupted)
    huey.on_shutdown("callboard")(client.flush)
