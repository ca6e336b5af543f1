"""RQ: every job of a queue is a job on the board.

import callboard_client.integrations.rq

class Job(callboard_client.integrations.rq.Job, client=Client()): ...

queue = Queue("reports", connection=redis, job_class=Job)  # and: rq worker --job-class module.Job reports
"""

import logging
import os
import threading
import time
from typing import Any, ClassVar

import rq.job
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq.command import send_stop_job_command
from rq.job import JobStatus, Retry
from rq.utils import utcformat
from rq.worker import Worker

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, Tasks

log = logging.getLogger("callboard_client")

WAITING = (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED)
UNTIL_KILLED = 5.0
"""Seconds that a work horse waits for its worker, which it asked to kill it."""


class CallboardJob(rq.job.Job):
    """A job of RQ that the board hears of. Make a class of your own with ``client=``, and give it to queue and worker.

    ``payload=False`` leaves out the arguments, which may be secret. ``tags``, ``heartbeat_timeout`` and
    ``max_duration`` (seconds) are those of every job.

    Within its function ``current_job()`` is the board's job. A cancel raises ``JobStopped`` from its next report; a
    function that is still at work ``grace`` seconds later is killed with its work horse. Either way it is *stopped* for
    RQ, as by ``rq.command.send_stop_job_command``: no callback of a failure, no other attempt.
    """

    _tasks: ClassVar[Tasks]
    _grace: ClassVar[float]
    _told: str | None = None
    # Both are kept beside what RQ keeps of a job: it forgets how many attempts there were to be, and it may run a job
    # again that had ended (requeued or repeated), which is another job on the board.
    _most: int | None = None
    _run: int = 0

    def __init_subclass__(cls, *, client: Client | None = None, grace: float = 5.0, **about: Any) -> None:
        super().__init_subclass__()
        if client is not None:
            cls._tasks, cls._grace = Tasks("rq", client, **about), grace

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        if self._most is None:
            self._most = self.retries_left
        kept = {"callboard_run": self._run} | ({} if self._most is None else {"callboard_retries": self._most})
        return super().to_dict(include_meta, include_result) | kept

    def restore(self, raw_data: dict[bytes, bytes]) -> None:
        super().restore(raw_data)
        self._run = int(raw_data.get(b"callboard_run", 0))
        most = raw_data.get(b"callboard_retries")
        self._most = self.retries_left if most is None else int(most)

    def save(self, pipeline: "Pipeline | None" = None, include_meta: bool = True, include_result: bool = True) -> None:
        super().save(pipeline, include_meta, include_result)
        if self._status in WAITING:
            try:
                told, self._told = self._told, self._which[1]
                if told != self._told:
                    self._tasks.enqueued(*self._which, *self._arguments)
            except Exception:
                log.warning("The board was not told of a job.", exc_info=True)

    def perform(self) -> Any:
        self._told = self._which[1]
        attempt = self._attempt()
        try:
            attempt.start()
            attempt.job.on_stop(lambda _: self._stop_later(attempt))
            with attempt.job.as_current():
                returned = super().perform()
        except BaseException as error:
            if isinstance(error, JobStopped) and attempt.job.stop_requested:
                self._ended()
                self._stop(attempt)
                time.sleep(UNTIL_KILLED)
            elif self.should_retry:
                attempt.retry(error)
            else:
                self._ended()
                attempt.fail(error)
            raise
        else:
            self._tell(attempt, returned)
            return returned
        finally:
            # A work horse ends at once.
            self._tasks.client.flush()

    def _tell(self, attempt: Attempt, returned: object) -> None:
        if isinstance(returned, Retry) and (self.number_of_retries or 0) < returned.max:
            attempt.retry("asked for another one")
        else:
            self._ended()
            if isinstance(returned, Retry):
                attempt.fail("It asked for more attempts than there are.")
            else:
                attempt.complete(returned)

    def _ended(self) -> None:
        """What runs under this name from now on is another job."""
        self._run += 1
        try:
            self.connection.hset(self.key, "callboard_run", str(self._run))
        except RedisError:
            log.warning("That job %s has ended could not be noted.", self.id, exc_info=True)

    def _stop_later(self, attempt: Attempt) -> None:
        run = self._run

        def stop() -> None:
            pid = self.connection.hget(f"{Worker.redis_worker_namespace_prefix}{self.worker_name}", "pid")
            # Without a work horse there is nobody to kill.
            if self._run == run and pid and int(pid) != os.getpid():
                self._ended()
                self._stop(attempt)

        timer = threading.Timer(self._grace, stop)
        timer.daemon = True
        timer.start()

    def _stop(self, attempt: Attempt) -> None:
        attempt.report_stopped()
        self._tasks.client.flush()
        try:
            send_stop_job_command(self.connection, self.id, serializer=self.serializer)
        except Exception:
            log.warning("RQ could not be asked to stop job %s.", self.id, exc_info=True)

    def _attempt(self) -> Attempt:
        job = self._tasks.job(*self._which, *self._arguments)
        if self.retries_left is None:
            return Attempt(job, (self.number_of_retries or 0) + 1)
        most = max(self.retries_left, self._most or 0)
        return Attempt(job, most - self.retries_left + 1, most + 1)

    @property
    def _which(self) -> tuple[str, str]:
        name = str(self.func_name).rpartition(".")[2]
        return name, f"{self.id}:{utcformat(self.created_at)}:{self._run}"

    @property
    def _arguments(self) -> tuple[Any, Any]:
        """As they are stored: the worker finds the same."""
        _, _, args, kwargs = self.serializer.loads(self.data)
        return args, kwargs
