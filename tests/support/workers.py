"""Programs as processes of their own, which end with their test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.paths import ROOT

BIN = Path(sys.executable).parent
EXAMPLES = ROOT / "examples" / "runners"


def python_path(*folders: Path) -> str:
    """Return the ``PYTHONPATH`` of a program that imports from these folders and from this repository."""
    return os.pathsep.join((*map(str, folders), str(ROOT), os.environ.get("PYTHONPATH", "")))


@contextmanager
def start_program(folder: Path, *command: str, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a program in a folder. What it wrote is shown if the test fails."""
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
        kill(child)


def kill(child: "subprocess.Popen[Any]") -> None:
    """Kill a process and all that it started, itself first, as a machine does that is switched off."""
    if child.poll() is None:
        parent = psutil.Process(child.pid)
        for each in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                each.kill()
    child.wait()


def run_program(*command: str) -> None:
    """Run a program to its end, with the commands of this environment on its path. It must succeed."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
