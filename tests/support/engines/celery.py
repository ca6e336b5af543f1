"""Celery: a worker with one process, on Redis."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from redis import Redis

from tests.support.engines.engine import QueueEngine
from tests.support.waiting import wait_until
from tests.support.workers import EXAMPLES, kill, python_path


class Celery(QueueEngine):
    """Celery as docs/runners/celery.md shows it. Its producer is a program of its own, as a web server would be."""

    source = """
import os
import time
from callboard_client import Client
from callboard_client.integrations.celery import connect
from celery import Celery
from celery.exceptions import Reject
from celery.signals import task_failure, task_retry
from tests.support.engines import work

broker = os.environ["BROKER_URL"]
app = Celery("shop", broker=broker, backend=broker)
app.conf.update(broker_connection_retry_on_startup=True, worker_cancel_long_running_tasks_on_connection_loss=False)
client = Client(interval=0.05)
connect(app, client, grace=0.3, **work.options())
task_failure.connect(work.note_failure)
task_retry.connect(work.note_failure)

def task(function, **retry):
    return app.task(name=f"shop.{function.__name__}", **retry)(function)

retry = {"autoretry_for": (Exception,), "max_retries": 2, "default_retry_delay": 0}
generate_report = task(work.generate_report)
fail = task(work.fail)
import_rows = task(work.import_rows, **retry)
import_rows_slowly = task(work.import_rows_slowly, **retry | {"default_retry_delay": 1})
endless = task(work.endless, **retry)
silent = task(work.silent, **retry)
note = task(work.note)

class Customer:
    def __json__(self):
        return {"name": "Ada"}

@app.task
def greet(who, flags):
    return str(who["name"])

@app.task
def reject():
    raise Reject("not for me", requeue=True)

@app.task(time_limit=1)
def overdue():
    time.sleep(100)
"""
    fixtures = ("broker_url",)
    canceled_state = "REVOKED"
    interrupted_message = "The task was revoked."
    example_type = "celery_jobs.generate_report"
    # It publishes what it is told line by line, and is started once: Celery takes its time to be imported.
    producer_source = """
import json, sys
import shop
for line in sys.stdin:
    task, args, kwargs = json.loads(line)
    task_id = getattr(shop, task).apply_async(args, kwargs).id
    shop.client.flush(2)
    print(task_id, flush=True)
"""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._producer: subprocess.Popen[str] | None = None
        self._results = Redis.from_url(os.environ["REDIS_URL"])
        self._ends.callback(self._results.close)

    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> str:
        if self._producer is None:
            self._producer = self._start_producer()
        assert self._producer.stdin
        assert self._producer.stdout
        self._producer.stdin.write(json.dumps([task, args, kwargs]) + "\n")
        self._producer.stdin.flush()
        task_id = self._producer.stdout.readline().strip()
        assert task_id, "The producer ended."
        return task_id

    def _start_producer(self) -> "subprocess.Popen[str]":
        producer = subprocess.Popen(
            [sys.executable, "-c", self.producer_source],
            env=os.environ | {"PYTHONPATH": python_path(self.folder, EXAMPLES)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ends.enter_context(producer)
        self._ends.callback(kill, producer)
        return producer

    def enqueue_unconnected(self, task: str, *args: Any) -> None:
        source = "import os; from celery import Celery; app = Celery(broker=os.environ['BROKER_URL'])"
        self.run_source(f"{source}; app.send_task('shop.{task}', {args!r})")

    def worker_command(self, *options: str, app: str = "shop") -> list[str]:
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
        return [sys.executable, "-m", "celery", "-A", app, "worker", "--concurrency", "1", *quiet, *options]

    def wait_for_result(self, task: str, result: object) -> None:
        wait_until(lambda: self.get_state(task) == "SUCCESS", seconds=30)
        assert self._read_outcome(task)["result"] == result

    def get_state(self, task: str) -> str:
        return str(self._read_outcome(task).get("status", "PENDING"))

    def _read_outcome(self, task: str) -> dict[str, Any]:
        stored: Any = self._results.get(f"celery-task-meta-{task}")
        return dict(json.loads(stored)) if stored else {}

    def job_type(self, task: str) -> str:
        return f"shop.{task}"

    def start_example(self) -> None:
        self.start(*self.worker_command(app="celery_jobs"))
        self.run_source("from celery_jobs import generate_report; generate_report.delay('2026-10')")
