"""Real processes: to start one, to wait for it, and who started whom."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.apps import SECRET_KEY
from tests.support.paths import ROOT
from tests.support.waiting import wait_until


def serve(url: str, port: int, folder: Path, output: int | None = None, **settings: str) -> subprocess.Popen[str]:
    """``flask serve`` as a real process; what it prints goes to a file, which its children share."""
    environ = os.environ | {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "PORT": str(port)} | settings
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "serve"]
    with (folder / "serve.log").open("w") as log:
        where = log if output is None else output
        return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=where, stderr=where, text=True)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def wait_until_it_serves(process: subprocess.Popen[str], log: Path) -> None:
    """Wait until ``flask serve`` answers, and fail with its log if it ends instead."""
    wait_until(lambda: "Callboard serves on" in log.read_text() or process.poll() is not None, explain=log.read_text)
    assert process.poll() is None, log.read_text()


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who started whom in /proc")


def children(process_id: int) -> list[int]:
    """The running processes that a process has started, the oldest first."""
    running = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return sorted(child for child in running if parent(child) == process_id)


def parent(process_id: int) -> int | None:
    """Who started a process; None when it has ended."""
    try:
        state, parent, *_ = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)


def command_line(process_id: int) -> str:
    return Path(f"/proc/{process_id}/cmdline").read_text().replace("\0", " ")
