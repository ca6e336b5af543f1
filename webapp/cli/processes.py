"""Processes that live and die together: a server, the chores, a sample runner.

Each child has a session of its own, so that Ctrl-C reaches only us: we then stop the children one by one, the last
started first, and whoever stops can still talk to those it depends on.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from flask import Flask

from webapp.config import http_address
from webapp.metrics import FOLDER

PATIENCE = 10.0
"""Seconds that a child is given to stop before it is killed."""
STARTING = 60.0
"""Seconds that the server is given to answer for the first time."""
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_LOG = Path(__file__).with_name("granian_log.json")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Together:
    """Children that are all stopped when the block ends, when we are told to stop, and when one of them dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._folders = contextlib.ExitStack()
        # No Event: a signal that came while we hold the lock inside of it would wait for that lock for ever.
        self._told_to_stop = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_soon)
        return self

    def _stop_soon(self, *_: object) -> None:
        self._told_to_stop = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children.values()):
            stop(child)
        self._folders.close()

    def folder(self, prefix: str) -> str:
        """A folder that the children may share, for as long as they live."""
        return self._folders.enter_context(tempfile.TemporaryDirectory(prefix=prefix))

    def start(self, name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        """Start a Python process, known by ``name``, unless we have been told to stop."""
        if not self._told_to_stop:
            command = [sys.executable, *arguments]
            merged = {**os.environ, **(environ or {})}
            self._children[name] = subprocess.Popen(
                command, cwd=self._folder, env=merged, start_new_session=True, preexec_fn=_end_with_our_end
            )

    def wait_for_server(self, host: str, port: int) -> bool:
        """Wait until something answers over HTTP. False when we were told to stop; raises when a child died."""
        deadline = time.monotonic() + STARTING
        while not self._pause():
            self._raise_if_one_died()
            if answers(host, port):
                return True
            if time.monotonic() > deadline:
                raise click.ClickException(f"The server did not answer within {STARTING:.0f} s.")
        return False

    def wait(self) -> None:
        """Wait until we are told to stop. Raises when a child died."""
        while not self._pause():
            self._raise_if_one_died()

    def _pause(self) -> bool:
        """Rest a little. Whether we were told to stop."""
        time.sleep(0.1)
        return self._told_to_stop

    def _raise_if_one_died(self) -> None:
        for name, child in self._children.items():
            if child.poll() is not None:
                raise click.ClickException(f"{name} ended by itself (exit code {child.returncode}); all is stopped.")


def start_board(together: Together, app: Flask) -> bool:
    """Start the server and the chores, and wait until the server answers. False when we were told to stop."""
    host, port = app.config["HOST"], app.config["PORT"]
    environ = {}
    if app.config["METRICS_TOKEN"] and FOLDER not in os.environ:
        environ[FOLDER] = together.folder("callboard-metrics-")
    together.start(
        "The server", "-m", "granian", "--interface", "wsgi", "wsgi:app", "--host", host, "--port", str(port),
        "--workers", str(app.config["WORKERS"]), "--blocking-threads", str(app.config["THREADS"]),
        "--respawn-failed-workers", "--workers-kill-timeout", "5", "--log-level", "error",
        "--log-config", str(_LOG), environ=environ,
    )  # fmt: skip
    together.start("The chores", "-m", "flask", "--app", "wsgi", "maintain", "run", environ=environ)
    return together.wait_for_server(host, port)


def require_free_port(host: str, port: int) -> None:
    """Refuse, before anything starts, an address on which we could not listen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # A port whose last connections are still closing is free for a server, so it is for us.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}. "
            f"Stop what uses it, or choose another port, for example PORT={port % 65535 + 1}."
        ) from None


def local_address(host: str, port: int) -> str:
    """Where processes of this machine reach the server, also when it listens on every address."""
    return http_address(_ANYWHERE.get(host, host), port)


def answers(host: str, port: int) -> bool:
    """Whether a server gives any HTTP answer there."""
    connection = HTTPConnection(_ANYWHERE.get(host, host), port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def _end_with_our_end() -> None:
    """In a child, before its program starts: have Linux tell it to stop when we are killed and cannot."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ask a child with a session of its own to end, wait for it, and in the end kill what is left of it and its own."""
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
