"""Celery: every task is a job. ``connect(app, Client())`` in the module of the app, for producers and workers alike.

Publishing a task creates its job as pending, a worker starts and ends it, a retry is a message of the same job. Both
find it by the id of the task. A cancel on the board stops the task at its next report, or else revokes it.
"""

import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from celery import Celery, signals
from celery.exceptions import Ignore
from kombu.utils import json

from callboard_client.client import HEARTBEAT_TIMEOUT, Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Tasks
from callboard_client.job import Job

log = logging.getLogger("callboard_client")

GRACE = 10.0
"""Seconds that a task is given to stop by itself before it is revoked."""


class TaskStopped(JobStopped, Ignore):
    """``JobStopped`` as Celery understands it: not a failure, and nothing to be tried again."""

    def __init__(self, stop: JobStopped) -> None:
        super().__init__(stop.code, str(stop), stop.job)


def connect(
    app: Celery,
    client: Client,
    *,
    payload: bool = True,
    tags: Sequence[str] = (),
    max_duration: int | None = None,
    heartbeat_timeout: int | None = HEARTBEAT_TIMEOUT,
    grace: float = GRACE,
) -> None:
    """Tell the board of all tasks of the app but Celery's own.

    ``payload=False`` keeps the arguments of tasks from the board. ``heartbeat_timeout`` should be longer than a task
    waits for its next attempt: until then its job is silent. A task that does not stop by itself within the ``grace``,
    in seconds, is revoked with SIGTERM, which needs the prefork pool and a broker with remote control.
    """
    about: dict[str, Any] = {"tags": tags, "max_duration": max_duration, "heartbeat_timeout": heartbeat_timeout}
    _Listener(app, Tasks("celery", client, payload=payload, **about), grace).listen()


class _AtWork(NamedTuple):
    job: Job
    revoke: threading.Timer
    attempt: str


class _Listener:
    def __init__(self, app: Celery, tasks: Tasks, grace: float) -> None:
        self._app = app
        self._tasks = tasks
        self._grace = grace
        self._at_work: dict[str, _AtWork] = {}

    def listen(self) -> None:
        # Not weakly: nobody else holds on to this.
        signals.before_task_publish.connect(self._tries_again, weak=False)
        signals.after_task_publish.connect(self._published, weak=False)
        signals.task_prerun.connect(self._begins, weak=False)
        signals.task_postrun.connect(self._ended, weak=False)
        signals.task_failure.connect(self._failed_elsewhere, weak=False)
        signals.task_revoked.connect(self._revoked, weak=False)
        # What a signal raises is lost; what this one raises keeps the task from running.
        self._app.Task.before_start = self._may_run

    def _job(self, name: str, task_id: str, args: Any, kwargs: Any) -> Job:
        found = _as_found(args, kwargs) if self._tasks.payload else ((), {})
        return self._tasks.job(name, task_id, *found)

    def _is_ours(self, name: str) -> bool:
        return not name.startswith("celery.") and name in self._app.tasks

    def _published(self, sender: str, headers: Mapping[str, Any], body: Any, **_: object) -> None:
        if not headers.get("retries") and not sender.startswith("celery.") and isinstance(body, tuple | list):
            self._job(sender, headers["id"], body[0], body[1]).enqueue(wait=False)

    def _tries_again(self, headers: Mapping[str, Any], **_: object) -> None:
        # Later another process may have begun the next attempt, and would be contradicted.
        if headers.get("retries") and (at_work := self._at_work.get(headers.get("id", ""))):
            why = sys.exc_info()[1]
            at_work.job.pause(f"{at_work.attempt} failed: {type(why).__name__}: {why}" if why else at_work.attempt)

    def _begins(self, task_id: str, task: Any, args: Any, kwargs: Any, **_: object) -> None:
        if not self._is_ours(task.name):
            return
        job = self._job(task.name, task_id, args, kwargs)
        job.stop_exception = TaskStopped
        revoke = threading.Timer(self._grace, self._revoke, [task_id])
        revoke.daemon = True
        attempt = _attempt(task)
        self._at_work[task_id] = _AtWork(job, revoke, attempt)
        job.set_current()
        try:
            job.start(message=attempt if task.request.retries else None)
        except JobStopped:
            log.info("Task %s was canceled before its turn.", task_id)
        job.on_stop(lambda _: revoke.start())

    def _may_run(self, task_id: str, args: Any, kwargs: Any) -> None:
        if at_work := self._at_work.get(task_id):
            at_work.job.raise_if_stopped()

    def _revoke(self, task_id: str) -> None:
        log.warning("Task %s was canceled and goes on: it is revoked.", task_id)
        self._app.control.revoke(task_id, terminate=True)

    def _ended(self, task_id: str, task: Any, state: str | None, retval: Any, **_: object) -> None:
        at_work = self._at_work.pop(task_id, None)
        if at_work is None:
            return
        job = at_work.job
        at_work.revoke.cancel()
        job.reset_current()
        if isinstance(retval, JobStopped) or (job.stop_requested and state == "IGNORED"):
            job.report_stopped()
            self._app.backend.mark_as_revoked(task_id, "canceled on the board", request=task.request)
        elif state == "SUCCESS":
            job.complete(retval)
        elif state == "FAILURE":
            job.fail(retval)
        elif state == "IGNORED":
            job.complete()
        elif state != "RETRY" or task.request.is_eager:
            # Rejected, and perhaps put back in line, or tried again without being published. Until somebody is at work
            # on it, nobody is to say so.
            job.pause(f"{at_work.attempt}: {state or 'interrupted'}".lower())

    def _failed_elsewhere(self, sender: Any, task_id: str, exception: Any, args: Any, kwargs: Any, **_: object) -> None:
        """The worker saw a process of its pool die. What fails in its own process is told by ``_ended``."""
        if task_id not in self._at_work and self._is_ours(sender.name):
            self._job(sender.name, task_id, args, kwargs).enqueue().fail(exception)

    def _revoked(self, sender: Any, request: Any, **_: object) -> None:
        if self._is_ours(sender.name):
            self._job(sender.name, request.id, request.args, request.kwargs).enqueue().report_stopped(
                "The task was revoked."
            )


def _as_found(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments as JSON brings them to a worker, so that both sides tell the same of them."""
    # Another serializer may take what JSON does not.
    with suppress(Exception):
        args, kwargs = json.loads(json.dumps([args, kwargs]))
    return args, kwargs


def _attempt(task: Any) -> str:
    of = "" if task.max_retries is None else f" of {task.max_retries + 1}"
    return f"attempt {task.request.retries + 1}{of}"
