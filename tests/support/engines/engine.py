"""What the contract of adapters needs to know of an engine: how it is used, and what it cannot do.

A new engine is a class in a file of its own, and a name in ``tests/clients/test_adapter_contract.py``.
"""

import importlib
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from tests.support.workers import EXAMPLES, kill, python_path, start_program


class Ability(StrEnum):
    """What not every engine can do."""

    QUEUE = "keep a task until its turn"
    RETRY = "try a task again"
    INTERRUPT = "stop a task that never reports"
    PRODUCE_UNCONNECTED = "take tasks from a producer that is not connected"


class Engine(ABC):
    """An engine with the tasks of ``work.py``, and a real worker. It ends with its test."""

    lacks: ClassVar[Mapping[Ability, str]] = {}
    """What it cannot do, and why. The contract then asks for what is promised instead, or skips the test."""
    fixtures: ClassVar[tuple[str, ...]] = ()
    """The fixtures that start its servers and say in the environment where they are."""
    canceled_state: ClassVar[object] = None
    """What the engine itself says of a canceled task, if it says anything."""
    interrupted_message: ClassVar[str | None] = "page 4 of 10"
    """The message of a job whose task was interrupted."""
    unwinds_when_interrupted: ClassVar[bool] = True
    """Whether an interrupted task may clean up, or is killed."""
    sends_late_reports: ClassVar[bool] = True
    """Whether the worker reports by itself what it could not while the board was away, or the next task does."""
    example_type: ClassVar[str] = "generate_report"
    example_result: ClassVar[dict[str, int]] = {"pages": 10}
    example_message: ClassVar[str] = "page 10 of 10"
    example_jobs: ClassVar[int] = 1
    """How many jobs the example makes, at least."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ends = ExitStack()

    def close(self) -> None:
        """End all that was started."""
        self._ends.close()

    # --- how it is used

    @abstractmethod
    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> Any:
        """Enqueue a task of ``work.py``; return what the engine gives for it. Its job is on the board after that."""

    def enqueue_unconnected(self, task: str, *args: Any) -> None:
        """Enqueue a task as a producer does that knows nothing of the board."""
        raise NotImplementedError

    @abstractmethod
    def start_worker(self) -> None:
        """Start a worker that does one task at a time."""

    def start_worker_to_kill(self) -> None:
        """Have ``generate_report`` at work in a process that can be killed."""
        self.enqueue("generate_report", "2026-10")
        self.start_worker()

    @abstractmethod
    def kill_worker(self) -> None:
        """Kill the worker, as a machine does that is switched off."""

    @abstractmethod
    def start_example(self) -> None:
        """Do what its page in ``docs/runners`` says."""

    # --- what it says

    @abstractmethod
    def wait_for_result(self, task: Any, result: object) -> None:
        """Wait until the engine itself says that a task has completed, with this result if it keeps results."""

    def get_state(self, task: Any) -> object:
        """Return what the engine itself says of a task, if it says anything."""
        return None

    def job_type(self, task: str) -> str:
        """Return the type of the job of a task."""
        return task

    def payload(self, task: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the payload of the job of a task."""
        return {"args": list(args), "kwargs": kwargs}

    def has(self, ability: Ability) -> bool:
        """Say whether the engine can do that."""
        return ability not in self.lacks

    # --- processes

    def start(self, *command: str, **environ: str) -> "subprocess.Popen[bytes]":
        """Start a program in the folder of the test; it is ended with the test."""
        paths = {"PYTHONPATH": python_path(self.folder, EXAMPLES)}
        return self._ends.enter_context(start_program(self.folder, *command, **paths, **environ))

    def run_source(self, source: str, **environ: str) -> None:
        """Run a Python program to its end."""
        assert self.start(sys.executable, "-c", source, **environ).wait(30) == 0


class QueueEngine(Engine):
    """An engine whose tasks are in a module, for producers and for workers, and whose workers are programs."""

    source: ClassVar[str]
    """The module of tasks, named ``shop``, as the engine's users write it."""
    worker: "subprocess.Popen[bytes]"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "shop.py").write_text(self.source)

    @abstractmethod
    def worker_command(self, *options: str) -> list[str]:
        """Return the command that starts a worker of the module."""

    def start_worker(self, *options: str, **environ: str) -> None:
        self.worker = self.start(*self.worker_command(*options), **environ)

    def kill_worker(self) -> None:
        kill(self.worker)


class LocalQueueEngine(QueueEngine):
    """An engine whose producer is the process of the test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.shop = self._import_shop()

    def _import_shop(self) -> ModuleType:
        """Import the module anew: it is connected to the board of this test."""
        patch = pytest.MonkeyPatch()
        patch.syspath_prepend(str(self.folder))
        patch.delitem(sys.modules, "shop", raising=False)
        try:
            shop = importlib.import_module("shop")
        except BaseException:
            patch.undo()
            raise
        self._ends.callback(sys.modules.pop, "shop", None)
        self._ends.callback(patch.undo)
        self._ends.callback(lambda: shop.client.close(timeout=0))
        return shop


class PoolEngine(Engine):
    """An engine whose workers are threads or processes of the program that enqueues: here, of the test."""

    program: ClassVar[str]
    """A program of its own that has ``generate_report`` at work."""
    child: "subprocess.Popen[bytes]"

    def start_worker_to_kill(self) -> None:
        self.child = self.start(sys.executable, "-c", self.program)

    def kill_worker(self) -> None:
        kill(self.child)
