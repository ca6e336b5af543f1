"""Real workers of task queues: processes of their own that end with their test, and tasks that both know."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from tests.support.paths import ROOT

BIN = Path(sys.executable).parent
SHARED = '''
import os, time
from pathlib import Path

from callboard_client import Client, current_job

HERE = Path(__file__).parent
client = Client(interval=0.05)

def note(name, line=""):
    """Tell the test that it came so far; how often it did so far."""
    with (HERE / name).open("a") as file:
        file.write(f"{line}\\n")
    return len((HERE / name).read_text().splitlines())

def wait_for(name):
    while not (HERE / name).exists():
        time.sleep(0.01)
'''
"""What every module of tasks begins with."""


def module(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tasks of this test, as their producer imports them; a worker that is started in the folder does the same."""
    (folder / "shop.py").write_text(SHARED + source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    return importlib.import_module("shop")


def from_here() -> str:
    """``PYTHONPATH`` for a worker whose tasks are in this repository."""
    return os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))


def lines(path: Path) -> list[str]:
    """What a task noted."""
    return path.read_text().splitlines() if path.exists() else []


@contextmanager
def worker(folder: Path, *command: str, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker, started in the folder of its tasks. Its log is shown if the test fails."""
    log = folder / "worker.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, cwd=folder, env=os.environ | environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield child
    except BaseException:
        print(log.read_text())  # noqa: T201
        raise
    finally:
        end(child)


def end(child: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all that it started, itself first, as a machine does that is switched off."""
    if child.poll() is None:
        parent = psutil.Process(child.pid)
        for each in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                each.kill()
    child.wait()
