"""APScheduler: a scheduler in the process of the test, with an executor of threads or of processes."""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from callboard_client import Client
from callboard_client.integrations.apscheduler import connect

from tests.support.engines import work
from tests.support.engines.engine import Ability, PoolEngine
from tests.support.waiting import wait_until
from tests.support.workers import EXAMPLES


class ApschedulerThreads(PoolEngine):
    """APScheduler as docs/runners/apscheduler.md shows it. To enqueue a task is to schedule a run of it for now."""

    lacks: ClassVar[Mapping[Ability, str]] = {
        Ability.QUEUE: "A schedule has no queue: a job begins with its run.",
        Ability.RETRY: "APScheduler tries nothing again.",
        Ability.INTERRUPT: "A run that never reports cannot be stopped.",
        Ability.PRODUCE_UNCONNECTED: "A scheduler runs what it has scheduled itself.",
    }
    example_type = "clean_up"
    example_result: ClassVar[dict[str, int]] = {"folders": 10}
    example_message = "folder 10 of 10"
    make_executor: Callable[[int], Any] = ThreadPoolExecutor
    program = """
from datetime import UTC, datetime
from apscheduler.schedulers.blocking import BlockingScheduler
from callboard_client import Client
from callboard_client.integrations.apscheduler import connect
from tests.support.engines import work

scheduler = BlockingScheduler(timezone=UTC)
connect(scheduler, Client(interval=0.05), **work.options())
scheduler.add_job(work.generate_report, "date", run_date=datetime.now(UTC), args=["2026-10"], misfire_grace_time=60)
scheduler.start()
"""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        client = self._ends.enter_context(Client(interval=0.05))
        # A new process takes its time where the machine has other work.
        patient = {"misfire_grace_time": 60}
        executors = {"default": type(self).make_executor(1)}
        self.scheduler = BackgroundScheduler(executors=executors, timezone=UTC, job_defaults=patient)
        connect(self.scheduler, client, **work.options())
        self._results: dict[str, Any] = {}
        self.scheduler.add_listener(self._note_result, EVENT_JOB_EXECUTED)
        self.scheduler.start(paused=True)
        self._ends.callback(self.scheduler.shutdown, wait=False)

    def _note_result(self, event: Any) -> None:
        self._results[event.job_id] = event.retval

    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> str:
        scheduled = self.scheduler.add_job(
            getattr(work, task), "date", run_date=datetime.now(UTC), args=args, kwargs=kwargs
        )
        return str(scheduled.id)

    def start_worker(self) -> None:
        self.scheduler.resume()

    def wait_for_result(self, task: str, result: object) -> None:
        wait_until(lambda: task in self._results, seconds=30)
        assert self._results[task] == result

    def start_example(self) -> None:
        source = (EXAMPLES / "apscheduler_jobs.py").read_text().replace("seconds=5", "seconds=1")
        self.start(sys.executable, "-c", source)


class ApschedulerProcesses(ApschedulerThreads):
    """The same with processes."""

    make_executor = ProcessPoolExecutor
