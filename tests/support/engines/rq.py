"""RQ: a worker with its work horses, on Redis."""

import os
from pathlib import Path
from typing import Any, ClassVar

from rq import Callback, Queue, Retry
from rq.job import Job

from tests.support.engines import work
from tests.support.engines.engine import LocalQueueEngine
from tests.support.waiting import wait_until
from tests.support.workers import BIN


class Rq(LocalQueueEngine):
    """RQ as docs/runners/rq.md shows it."""

    source = '''
import os
from callboard_client import Client
from callboard_client.integrations.rq import CallboardJob
from redis import Redis
from rq import Queue
from tests.support.engines import work

client = Client(interval=0.05)

class Job(CallboardJob, client=client, grace=0.3, **work.options()):
    """A job of the tests."""

redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue("shop", connection=redis, job_class=Job)
'''
    fixtures = ("redis_socket",)
    canceled_state = "stopped"
    interrupted_message = None
    # It is killed with its work horse.
    unwinds_when_interrupted = False
    # A work horse ends with its job, and the next one sends what is in the spool.
    sends_late_reports = False
    retries: ClassVar[dict[str, Retry]] = {
        "import_rows": Retry(2),
        "import_rows_slowly": Retry(2, interval=1),
        "endless": Retry(2),
        "silent": Retry(2),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ends.callback(self.shop.redis.close)

    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> Job:
        return self._enqueue(self.shop.queue, task, args, kwargs)

    def enqueue_unconnected(self, task: str, *args: Any) -> None:
        self._enqueue(Queue("shop", connection=self.shop.redis), task, args, {})

    def _enqueue(self, queue: Queue, task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        retry = self.retries.get(task)
        on_failure = Callback(work.note_failure)
        return queue.enqueue_call(getattr(work, task), args, kwargs, retry=retry, on_failure=on_failure)

    def worker_command(self, *options: str) -> list[str]:
        redis = ["--url", os.environ["REDIS_URL"]]
        return [str(BIN / "rq"), "worker", *redis, "--job-class", "shop.Job", "--with-scheduler", *options, "shop"]

    def start_worker(self, *options: str, **environ: str) -> None:
        super().start_worker(*options, CALLBOARD_SPOOL=str(self.folder / "spool"), **environ)

    def wait_for_result(self, task: Job, result: object) -> None:
        wait_until(lambda: task.get_status() == "finished", seconds=30)
        assert task.return_value() == result

    def get_state(self, task: Job) -> str:
        return str(task.get_status().value)

    def start_example(self) -> None:
        self.run_source("from rq_jobs import generate_report, queue; queue.enqueue(generate_report, '2026-10')")
        redis = ["--url", os.environ["REDIS_URL"]]
        worker = self.start(str(BIN / "rq"), "worker", *redis, "--job-class", "rq_jobs.Job", "--burst", "reports")
        assert worker.wait(30) == 0
