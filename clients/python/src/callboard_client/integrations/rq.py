"""RQ: every job of a queue is a job on the board.

from callboard_client.integrations.rq import CallboardJob

class Job(CallboardJob, client=Client()): ...

queue = Queue("reports", connection=redis, job_class=Job)  # and: rq worker --job-class module.Job reports
"""

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import rq.job
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq.command import send_stop_job_command
from rq.job import JobStatus, Retry
from rq.utils import utcformat
from rq.worker import Worker

from callboard_client.client import Client
from callboard_client.errors import JobStopped
from callboard_client.integrations._base import Attempt, TaskJobs

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from callboard_client.integrations._base import TaskOptions

log = logging.getLogger("callboard_client")

GRACE = 5.0
"""Seconds that a function has to stop by itself before its work horse is killed."""
KILL_TIMEOUT = 5.0
"""Seconds that a work horse waits for its worker, which it asked to kill it."""
WAITING = (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED)


class CallboardJob(rq.job.Job):
    """A job of RQ that is reported to the board. Make a class of your own with ``client=``, for queue and worker.

    ``grace``: seconds after which a function that does not stop by itself is killed with its work horse.
    ``options``: of all jobs, see ``TaskOptions``: ``payload``, ``tags``, ``max_duration``, ``heartbeat_timeout``.

    Within its function ``current_job()`` is the board's job. A cancel raises ``JobStopped`` from its next report, or
    kills the work horse. Either way the job is *stopped* for RQ, as by ``rq.command.send_stop_job_command``: no
    callback of a failure, no other attempt.
    """

    _tasks: ClassVar[TaskJobs]
    _grace: ClassVar[float]
    _reported_id: str | None = None
    # Both are stored beside what RQ stores of a job: it forgets how many attempts there were to be, and it may run a
    # job again that had ended (requeued or repeated), which is another job on the board.
    _max_retries: int | None = None
    _run: int = 0

    def __init_subclass__(
        cls, *, client: Client | None = None, grace: float = GRACE, **options: "Unpack[TaskOptions]"
    ) -> None:
        super().__init_subclass__()
        if client is not None:
            cls._tasks, cls._grace = TaskJobs("rq", client, **options), grace

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        if self._max_retries is None:
            self._max_retries = self.retries_left
        own: dict[str, Any] = {"callboard_run": self._run}
        if self._max_retries is not None:
            own["callboard_retries"] = self._max_retries
        return super().to_dict(include_meta, include_result) | own

    def restore(self, raw_data: dict[bytes, bytes]) -> None:
        super().restore(raw_data)
        self._run = int(raw_data.get(b"callboard_run", 0))
        retries = raw_data.get(b"callboard_retries")
        self._max_retries = self.retries_left if retries is None else int(retries)

    def save(self, pipeline: "Pipeline | None" = None, include_meta: bool = True, include_result: bool = True) -> None:
        super().save(pipeline, include_meta, include_result)
        if self._status in WAITING:
            try:
                if self._reported_id != self._task_id:
                    self._reported_id = self._task_id
                    self._tasks.enqueue(self._task_name, self._task_id, *self._arguments)
            except Exception:
                log.warning("A job was not reported to the board.", exc_info=True)

    def perform(self) -> Any:
        self._reported_id = self._task_id
        attempt = self._attempt()
        try:
            attempt.start()
            attempt.job.on_stop(lambda _: self._stop_later(attempt))
            with attempt.job.as_current():
                returned = super().perform()
        except BaseException as error:
            if isinstance(error, JobStopped) and attempt.job.stop_requested:
                self._end_run()
                self._stop(attempt)
                time.sleep(KILL_TIMEOUT)
            elif self.should_retry:
                attempt.retry(error)
            else:
                self._end_run()
                attempt.fail(error)
            raise
        else:
            self._report_return(attempt, returned)
            return returned
        finally:
            # A work horse ends at once.
            self._tasks.client.flush()

    def _report_return(self, attempt: Attempt, returned: object) -> None:
        if isinstance(returned, Retry) and (self.number_of_retries or 0) < returned.max:
            attempt.retry("asked for another one")
        else:
            self._end_run()
            if isinstance(returned, Retry):
                attempt.fail("It asked for more attempts than there are.")
            else:
                attempt.complete(returned)

    def _end_run(self) -> None:
        """Note that what runs under this id from now on is another job on the board."""
        self._run += 1
        try:
            self.connection.hset(self.key, "callboard_run", str(self._run))
        except RedisError:
            log.warning("The end of job %s could not be noted in Redis.", self.id, exc_info=True)

    def _stop_later(self, attempt: Attempt) -> None:
        run = self._run

        def stop() -> None:
            pid = self.connection.hget(f"{Worker.redis_worker_namespace_prefix}{self.worker_name}", "pid")
            # Without a work horse there is nothing to kill.
            if self._run == run and pid and int(pid) != os.getpid():
                self._end_run()
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
        job = self._tasks.job(self._task_name, self._task_id, *self._arguments)
        if self.retries_left is None:
            return Attempt(job, (self.number_of_retries or 0) + 1)
        retries = max(self.retries_left, self._max_retries or 0)
        return Attempt(job, retries - self.retries_left + 1, retries + 1)

    @property
    def _task_name(self) -> str:
        return str(self.func_name).rpartition(".")[2]

    @property
    def _task_id(self) -> str:
        return f"{self.id}:{utcformat(self.created_at)}:{self._run}"

    @property
    def _arguments(self) -> tuple[Any, Any]:
        """As they are stored: the worker finds the same."""
        _, _, args, kwargs = self.serializer.loads(self.data)
        return args, kwargs
