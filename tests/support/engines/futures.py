"""``concurrent.futures``: a pool of one thread or process, in the process of the test."""

import multiprocessing
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from callboard_client import Client, JobCanceled
from callboard_client.integrations.futures import TrackedExecutor

from tests.support.engines import work
from tests.support.engines.engine import Ability, PoolEngine
from tests.support.workers import EXAMPLES, run_program


class FuturesThreads(PoolEngine):
    """``concurrent.futures`` as docs/runners/futures.md shows it. To start its worker is to let it go on."""

    lacks: ClassVar[Mapping[Ability, str]] = {
        Ability.RETRY: "A call is not tried again.",
        Ability.INTERRUPT: "A call that never reports cannot be stopped.",
        Ability.PRODUCE_UNCONNECTED: "A pool works on what was submitted to it.",
    }
    canceled_state = JobCanceled
    example_jobs = 3
    make_pool: Callable[[], Executor] = partial(ThreadPoolExecutor, 1)
    program = """
from concurrent.futures import ThreadPoolExecutor
from callboard_client import Client
from callboard_client.integrations.futures import TrackedExecutor
from tests.support.engines import work

TrackedExecutor(ThreadPoolExecutor(1), Client(interval=0.05), **work.options()).submit(work.generate_report, "2026-10")
"""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        client = self._ends.enter_context(Client(interval=0.05))
        pool = type(self).make_pool()
        self.executor = self._ends.enter_context(TrackedExecutor(pool, client, **work.options()))
        # What is submitted waits for its turn until the worker is started.
        pool.submit(work.wait_for, "worker")
        self._ends.callback(self.start_worker)

    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> "Future[Any]":
        return self.executor.submit(getattr(work, task), *args, **kwargs)

    def start_worker(self) -> None:
        (self.folder / "worker").touch()

    def wait_for_result(self, task: "Future[Any]", result: object) -> None:
        assert task.result(30) == result

    def get_state(self, task: "Future[Any]") -> object:
        return type(task.exception(30))

    def start_example(self) -> None:
        run_program(sys.executable, str(EXAMPLES / "futures_jobs.py"))


class FuturesFork(FuturesThreads):
    """The same with a process that is forked."""

    make_pool = partial(ProcessPoolExecutor, 1, mp_context=multiprocessing.get_context("fork"))


class FuturesSpawn(FuturesThreads):
    """The same with a process that is started anew."""

    make_pool = partial(ProcessPoolExecutor, 1, mp_context=multiprocessing.get_context("spawn"))
