"""Dramatiq: a worker process with one thread, on Redis."""

import os
from pathlib import Path
from typing import Any

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from tests.support.engines.engine import LocalQueueEngine
from tests.support.workers import BIN


class Dramatiq(LocalQueueEngine):
    """Dramatiq as docs/runners/dramatiq.md shows it."""

    source = """
import os
import dramatiq
from callboard_client import Client
from callboard_client.integrations.dramatiq import CallboardMiddleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from tests.support.engines import work

class NoteFailures(dramatiq.Middleware):
    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is not None:
            work.note_failure()

client = Client(interval=0.05)
broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(Results(backend=RedisBackend(client=broker.client)))
broker.add_middleware(CallboardMiddleware(client, grace=0.3, **work.options()))
broker.add_middleware(NoteFailures())
dramatiq.set_broker(broker)

generate_report = dramatiq.actor(store_results=True)(work.generate_report)
fail = dramatiq.actor(max_retries=0)(work.fail)
import_rows = dramatiq.actor(max_retries=2, min_backoff=1, max_backoff=1, store_results=True)(work.import_rows)
import_rows_slowly = dramatiq.actor(max_retries=2, min_backoff=1000, max_backoff=1000, store_results=True)(
    work.import_rows_slowly
)
endless = dramatiq.actor(max_retries=2)(work.endless)
silent = dramatiq.actor(max_retries=2, store_results=True)(work.silent)
note = dramatiq.actor(store_results=True)(work.note)
"""
    fixtures = ("redis_socket",)
    interrupted_message = None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ends.callback(self.shop.broker.client.close)

    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> "Message[Any]":
        message: Message[Any] = getattr(self.shop, task).send(*args, **kwargs)
        return message

    def enqueue_unconnected(self, task: str, *args: Any) -> None:
        broker = RedisBroker(url=os.environ["REDIS_URL"])
        broker.enqueue(getattr(self.shop, task).message(*args))
        broker.client.close()

    def worker_command(self, *options: str) -> list[str]:
        return [str(BIN / "dramatiq"), "shop", "--processes", "1", "--threads", "1", *options]

    def start_worker(self, *options: str, **environ: str) -> None:
        super().start_worker(*options, dramatiq_worker_timeout="50", **environ)

    def wait_for_result(self, task: "Message[Any]", result: object) -> None:
        backend = self.shop.broker.get_results_backend()
        assert task.get_result(backend=backend, block=True, timeout=30_000) == result

    def start_example(self) -> None:
        self.run_source("from dramatiq_jobs import generate_report; generate_report.send('2026-10')")
        command = [str(BIN / "dramatiq"), "dramatiq_jobs", "--processes", "1"]
        self.start(*command, dramatiq_worker_timeout="50")
