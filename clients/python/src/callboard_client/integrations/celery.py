"""Celery: every task is a job. ``connect(app, Client())`` in the module of the app, for producers and workers alike.

Publishing a task creates its job as pending, a worker starts and ends it, a retry is a message of the same job. Both
find it by the id of the task. A cancel on the board stops the task at its next report, or else revokes it.
"""

import logging
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from celery import Celery, signals
from celery.exceptions import Ignore
from kombu.utils import json

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, TaskJobs
from callboard_client.job import Job

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client.integrations._base import TaskOptions

log = logging.getLogger("callboard_client")

GRACE = 10.0
"""Seconds that a task has to stop by itself before it is revoked."""


class TaskStopped(JobStopped, Ignore):
    """``JobStopped`` as Celery understands it: not a failure, and nothing to be tried again."""

    def __init__(self, stop: JobStopped) -> None:
        super().__init__(stop.code, str(stop), stop.job)


class _Run(NamedTuple):
    """A task that this process works on."""

    attempt: Attempt
    revoke: threading.Timer


class _Listener:
    """Follow the signals of Celery."""

    def __init__(self, app: Celery, tasks: TaskJobs, grace: float) -> None:
        self._app = app
        self._tasks = tasks
        self._grace = grace
        self._runs: dict[str, _Run] = {}

    def listen(self) -> None:
        # Not weakly: nothing else holds on to this.
        signals.before_task_publish.connect(self._before_publish, weak=False)
        signals.after_task_publish.connect(self._after_publish, weak=False)
        signals.task_prerun.connect(self._before_run, weak=False)
        signals.task_postrun.connect(self._after_run, weak=False)
        signals.task_failure.connect(self._on_failure, weak=False)
        signals.task_revoked.connect(self._on_revoked, weak=False)
        # What a signal raises is lost; what this one raises keeps the task from running.
        self._app.Task.before_start = self._raise_if_stopped

    def _job(self, name: str, task_id: str, args: Any, kwargs: Any) -> Job:
        arguments = _as_received(args, kwargs) if self._tasks.shows_payload else ((), {})
        return self._tasks.job(name, task_id, *arguments)

    def _is_reported(self, name: str) -> bool:
        return not name.startswith("celery.") and name in self._app.tasks

    def _after_publish(self, sender: str, headers: Mapping[str, Any], body: Any, **_: object) -> None:
        if not headers.get("retries") and not sender.startswith("celery.") and isinstance(body, tuple | list):
            self._job(sender, headers["id"], body[0], body[1]).enqueue(wait=False)

    def _before_publish(self, headers: Mapping[str, Any], **_: object) -> None:
        # A retry is reported before it is published: after that another process may have begun the next attempt, and
        # would be contradicted.
        if headers.get("retries") and (run := self._runs.get(headers.get("id", ""))):
            if error := sys.exc_info()[1]:
                run.attempt.retry(error)
            else:
                run.attempt.job.pause(run.attempt.name)

    def _before_run(self, task_id: str, task: Any, args: Any, kwargs: Any, **_: object) -> None:
        if not self._is_reported(task.name):
            return
        job = self._job(task.name, task_id, args, kwargs)
        job.stop_exception = TaskStopped
        revoke = threading.Timer(self._grace, self._revoke, [task_id])
        revoke.daemon = True
        limit = None if task.max_retries is None else task.max_retries + 1
        attempt = Attempt(job, task.request.retries + 1, limit)
        self._runs[task_id] = _Run(attempt, revoke)
        job.set_current()
        try:
            attempt.start()
        except JobStopped:
            log.info("Task %s was canceled before its turn.", task_id)
        job.on_stop(lambda _: revoke.start())

    def _raise_if_stopped(self, task_id: str, args: Any, kwargs: Any) -> None:
        if run := self._runs.get(task_id):
            run.attempt.job.raise_if_stopped()

    def _revoke(self, task_id: str) -> None:
        log.warning("Task %s was canceled and goes on: it is revoked.", task_id)
        self._app.control.revoke(task_id, terminate=True)

    def _after_run(self, task_id: str, task: Any, state: str | None, retval: Any, **_: object) -> None:
        run = self._runs.pop(task_id, None)
        if run is None:
            return
        attempt = run.attempt
        run.revoke.cancel()
        attempt.job.reset_current()
        if isinstance(retval, JobStopped) or (attempt.job.stop_requested and state == "IGNORED"):
            attempt.report_stopped()
            self._app.backend.mark_as_revoked(task_id, "canceled on the board", request=task.request)
        elif state == "SUCCESS":
            attempt.complete(retval)
        elif state == "FAILURE":
            attempt.fail(retval)
        elif state == "IGNORED":
            attempt.complete()
        elif state != "RETRY" or task.request.is_eager:
            # Rejected, and perhaps put back in line, or tried again without being published. Until a worker takes it,
            # nobody reports.
            attempt.job.pause(f"{attempt.name}: {state or 'interrupted'}".lower())

    def _on_failure(self, sender: Any, task_id: str, exception: Any, args: Any, kwargs: Any, **_: object) -> None:
        """Report that a process of the pool died. What fails in its own process ``_after_run`` reports."""
        if task_id not in self._runs and self._is_reported(sender.name):
            self._job(sender.name, task_id, args, kwargs).enqueue().fail(exception)

    def _on_revoked(self, sender: Any, request: Any, **_: object) -> None:
        if self._is_reported(sender.name):
            job = self._job(sender.name, request.id, request.args, request.kwargs)
            Attempt(job).report_stopped("The task was revoked.")


def connect(app: Celery, client: Client, *, grace: float = GRACE, **options: "Unpack[TaskOptions]") -> None:
    """Report all tasks of the app but Celery's own.

    ``grace``: seconds after which a task that does not stop by itself is revoked with SIGTERM, which needs the prefork
    pool and a broker with remote control.
    ``options``: of all jobs, see ``TaskOptions``: ``payload``, ``tags``, ``max_duration``, ``heartbeat_timeout``.
    """
    _Listener(app, TaskJobs("celery", client, **options), grace).listen()


def _as_received(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments as JSON brings them to a worker, so that both sides report the same."""
    # Another serializer may take what JSON does not.
    with suppress(Exception):
        args, kwargs = json.loads(json.dumps([args, kwargs]))
    return args, kwargs
