"""Starts and stops processes that live and die together: a server, the chores, a sample runner."""

import contextlib
import ctypes
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from flask import Flask

from webapp.config import build_http_address
from webapp.metrics import FOLDER_VARIABLE

log = logging.getLogger(__name__)

STOP_TIMEOUT = 10.0
"""Seconds that a child may take to stop before it is killed."""
MAX_ENDS, ENDS_WITHIN = 10, 60.0
"""A child that ends unexpectedly this often within so many seconds would go on doing so."""
START_TIMEOUT = 60.0
"""Seconds that the server may take to answer for the first time."""
_FOLDER_LOCK = "in-use"
"""The file in a folder by which others see that the process that made it lives."""
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_LOG_CONFIG = Path(__file__).with_name("granian_log.json")
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def answers(host: str, port: int) -> bool:
    """Return whether a server gives any HTTP answer there."""
    connection = HTTPConnection(_LOOPBACK.get(host, host), port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def stop(child: subprocess.Popen[bytes]) -> None:
    """Terminate a child that has a session of its own, wait for it, and kill what is left of its session."""
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _end_with_parent() -> None:
    """Have Linux terminate this child, before its program starts, when its parent is killed and cannot stop it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _lock_folder(until_ended: contextlib.ExitStack, folder: Path) -> None:
    """Hold a folder's lock, which the system releases however this process ends. Raises ``OSError`` if another does."""
    lock = until_ended.enter_context((folder / _FOLDER_LOCK).open("w"))
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_abandoned_folders(prefix: str) -> None:
    """Remove the folders that were not removed because the process that made them was killed."""
    for lock in Path(tempfile.gettempdir()).glob(f"{prefix}*/{_FOLDER_LOCK}"):
        # One that is in use, or is another user's, stays.
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            _lock_folder(held, lock.parent)
            shutil.rmtree(lock.parent)


@dataclass
class _Child:
    """A running child, and what it takes to start it again."""

    command: Sequence[str]
    environ: Mapping[str, str]
    process: subprocess.Popen[bytes]
    ended_at: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_ENDS))
    """When it last ended unexpectedly, by the monotonic clock."""

    @property
    def ends_too_often(self) -> bool:
        return len(self.ended_at) == MAX_ENDS and self.ended_at[-1] - self.ended_at[0] < ENDS_WITHIN


class ChildProcesses:
    """Holds children that are all stopped when the block ends and when this process is to stop.

    A child that ends unexpectedly is started again; one that does so ten times within a minute stops them all.
    """

    # Each child has a session of its own, so that Ctrl-C reaches this process alone. It then stops the children one by
    # one, the last started first, so that each can still talk to those it depends on.

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, _Child] = {}
        self._folders = contextlib.ExitStack()
        # No Event: a signal that arrived while this thread held the Event's lock would wait for that lock for ever.
        self._stop_requested = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        return self

    def _request_stop(self, *_: object) -> None:
        self._stop_requested = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children.values()):
            stop(child.process)
        self._folders.close()

    def make_folder(self, prefix: str) -> str:
        """Make a folder that the children may share for as long as they live, and remove those of killed boards."""
        _remove_abandoned_folders(prefix)
        folder = self._folders.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
        _lock_folder(self._folders, Path(folder))
        return folder

    def start(self, name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        """Start a Python process, which messages call ``name``, unless a stop was requested."""
        if not self._stop_requested:
            command = [sys.executable, *arguments]
            merged = {**os.environ, **(environ or {})}
            self._children[name] = _Child(command, merged, self._run(command, merged))

    def _run(self, command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=self._folder, env=environ, start_new_session=True, preexec_fn=_end_with_parent
        )

    def wait_for_server(self, host: str, port: int) -> bool:
        """Wait until the server answers, and return whether it does: not if a stop was requested.

        Raises ``ClickException`` when a child died, or when the server needs too long.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not self._pause():
            self._raise_if_any_died()
            if answers(host, port):
                return True
            if time.monotonic() > deadline:
                raise click.ClickException(f"The server did not answer within {START_TIMEOUT:.0f} s.")
        return False

    def wait(self) -> None:
        """Wait until a stop is requested. Raises ``ClickException`` when a child ends again and again."""
        while not self._pause():
            for name, child in self._children.items():
                if child.process.poll() is not None:
                    self._start_again(name, child)

    def _start_again(self, name: str, child: _Child) -> None:
        code = child.process.returncode
        child.ended_at.append(time.monotonic())
        if child.ends_too_often:
            times = f"{MAX_ENDS} times within a minute"
            raise click.ClickException(f"{name} ended unexpectedly {times} (exit code {code}). Callboard has stopped.")
        log.warning("%s ended unexpectedly (exit code %s); starting again.", name, code)
        if not self._pause():
            child.process = self._run(child.command, child.environ)

    def _pause(self) -> bool:
        """Sleep a little, and return whether a stop was requested."""
        time.sleep(0.1)
        return self._stop_requested

    def _raise_if_any_died(self) -> None:
        for name, child in self._children.items():
            if (code := child.process.poll()) is not None:
                raise click.ClickException(f"{name} ended unexpectedly (exit code {code}). Callboard has stopped.")


def start_board(children: ChildProcesses, app: Flask) -> bool:
    """Start the server and the chores, and return whether the server answers: not if a stop was requested."""
    host, port = app.config["HOST"], app.config["PORT"]
    environ = {}
    if app.config["METRICS_TOKEN"] and FOLDER_VARIABLE not in os.environ:
        environ[FOLDER_VARIABLE] = children.make_folder("callboard-metrics-")
    if app.config["RATE_LIMIT"] and not app.config["RATE_LIMIT_FILE"]:
        environ["RATE_LIMIT_FILE"] = f"{children.make_folder('callboard-rates-')}/buckets"
    children.start(
        "The server", "-m", "webapp.gateway", "--interface", "rsgi", "wsgi:app", "--host", host, "--port", str(port),
        "--workers", str(app.config["WORKERS"]), "--http", "1", "--no-ws",
        "--respawn-failed-workers", "--workers-kill-timeout", "8", "--log-level", "error",
        "--log-config", str(_LOG_CONFIG), environ=environ,
    )  # fmt: skip
    children.start("The chores", "-m", "flask", "--app", "wsgi", "maintain", "run", environ=environ)
    return children.wait_for_server(host, port)


@contextlib.contextmanager
def claim_port(host: str, port: int) -> Iterator[None]:
    """Check that a server could listen there, and hold other boards back until the block has started one.

    Raises ``ClickException``. The server itself would share the port with another that starts at the same moment.
    """
    with contextlib.ExitStack() as claim:
        if sys.platform == "linux":
            # A name that only one process has at a time, and that goes with it; there is no file of it.
            name = claim.enter_context(socket.socket(socket.AF_UNIX))
            deadline = time.monotonic() + START_TIMEOUT
            while not _take_name(name, f"\0callboard-port-{port}") and time.monotonic() < deadline:
                time.sleep(0.1)
        require_free_port(host, port)
        yield


def _take_name(unbound: socket.socket, name: str) -> bool:
    try:
        unbound.bind(name)
    except OSError:
        return False
    return True


def require_free_port(host: str, port: int) -> None:
    """Check that a server could listen there. Raises ``ClickException``."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # A port whose last connections are still closing is free for a server, so it is free here.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}. "
            f"Stop what uses it, or choose another port, for example PORT={port % 65535 + 1}."
        ) from None


def local_address(host: str, port: int) -> str:
    """Return where processes of this machine reach the server, also when it listens on every address."""
    return build_http_address(_LOOPBACK.get(host, host), port)
