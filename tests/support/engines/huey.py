"""Huey: a consumer on a queue in SQLite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from huey import SqliteHuey

from tests.support.engines.engine import Ability, LocalQueueEngine
from tests.support.workers import BIN


class Huey(LocalQueueEngine):
    """Huey as docs/runners/huey.md shows it."""

    source = """
import os
from callboard_client import Client
from callboard_client.integrations.huey import connect
from huey import SqliteHuey, signals
from tests.support.engines import work

client = Client(interval=0.05)
huey = SqliteHuey(filename=str(work.path_of("huey.db")))
connect(huey, client, **work.options())
huey.signal(signals.SIGNAL_ERROR, signals.SIGNAL_RETRYING)(work.note_failure)

generate_report = huey.task()(work.generate_report)
fail = huey.task()(work.fail)
import_rows = huey.task(retries=2)(work.import_rows)
import_rows_slowly = huey.task(retries=2, retry_delay=1)(work.import_rows_slowly)
endless = huey.task(retries=2)(work.endless)
silent = huey.task(retries=2)(work.silent)
note = huey.task()(work.note)
"""
    lacks: ClassVar[Mapping[Ability, str]] = {Ability.INTERRUPT: "Huey's workers cannot be interrupted."}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ends.callback(self.shop.huey.storage.close)

    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.shop, task)(*args, **kwargs)

    def enqueue_unconnected(self, task: str, *args: Any) -> None:
        producer = SqliteHuey(filename=str(self.folder / "huey.db"))
        producer._registry = self.shop.huey._registry
        producer.enqueue(getattr(self.shop, task).s(*args))
        producer.storage.close()

    def worker_command(self, *options: str) -> list[str]:
        return [str(BIN / "huey_consumer"), "shop.huey", "--delay", "0.02", "--max-delay", "0.05", *options]

    def wait_for_result(self, task: Any, result: object) -> None:
        assert task.get(blocking=True, timeout=30) == result

    def start_example(self) -> None:
        self.run_source("from huey_jobs import generate_report; generate_report('2026-10')")
        self.start(str(BIN / "huey_consumer"), "huey_jobs.huey")
