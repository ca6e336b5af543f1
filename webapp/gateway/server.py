"""Runs granian so that its threads work as ``gateway`` says."""

import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import granian.cli
import granian.rsgi
import granian.server.mp
from flask import Flask
from granian._granian import CallbackScheduler, RSGIWorker, WorkerSignal
from granian.server.mp import MPServer, WorkerProcess

from webapp.core import metrics
from webapp.gateway.gateway import PROBE_THREADS, Gateway
from webapp.gateway.rsgi import Connection, HeaderList, Scope

# What granian does not offer as an interface: its types are not told, or told wrong.
_Worker: Any = RSGIWorker
_cli: Any = granian.cli
_granian_rsgi: Any = granian.rsgi
_granian_server: Any = granian.server.mp

log = logging.getLogger(__name__)

CHECK_INTERVAL = 1.0
"""Seconds between two checks of what is overdue."""
SEND_TIMEOUT = 30.0
"""Seconds that a reader may take nothing of an answer."""
IDLE_TIMEOUT = 60
"""Seconds after which the other end of a silent connection is asked whether it is still there."""
DRAIN_TIMEOUT = 6.0
"""Seconds that answers under way may take once the server is to stop."""
MAX_OPEN_FILES = 65_536
"""Connections and files that a process may have open, if the system allows so many."""


class _Scheduler(CallbackScheduler):
    """Hands each request to the gateway in the thread in which granian announces it."""

    __slots__ = ()

    def __init__(self, loop: "_Loop", receive: Callable[[Scope, Connection], None], *_: object) -> None:
        super().__init__()

        def receive_safely(watcher: Any) -> None:
            # granian cannot handle an exception here.
            try:
                receive(watcher.scope, watcher.proto)
            except BaseException:
                log.exception("A request could not be taken in.")

        self._schedule_fn = receive_safely


class _LoggedConnection:
    """Writes a line to granian's access log when an answer is made."""

    def __init__(self, connection: Connection, scope: Scope, write: Callable[..., None]) -> None:
        self._connection = connection
        self._scope = scope
        self._write = write
        self._begun = time.time(), time.perf_counter()

    def __call__(self) -> Any:
        return self._connection()

    def __aiter__(self) -> Any:
        return self._connection.__aiter__()

    def __anext__(self) -> Any:
        return self._connection.__anext__()

    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None:
        self._connection.response_bytes(status, headers, body)
        self._write(*self._begun, self._scope, status)

    def response_file(self, status: int, headers: HeaderList, path: str) -> None:
        self._connection.response_file(status, headers, path)
        self._write(*self._begun, self._scope, status)


class _Loop:
    """Stands in for the event loop of asyncio: what came of a body is dealt with at once, where it is announced."""

    def call_soon(self, callback: Callable[..., object], *arguments: object, context: object = None) -> None:
        try:
            callback(*arguments)
        except BaseException:
            log.exception("A request could not be taken in.")

    call_soon_threadsafe = call_soon


@WorkerProcess.wrap_target  # type: ignore[untyped-decorator]
def run_worker(
    worker_id: int,
    app: Flask,
    sock: Any,
    ipc: Any,
    asyncio_loop: Any,
    runtime_mode: Any,
    runtime_threads: int,
    runtime_blocking_threads: int,
    blocking_threads: int,
    blocking_threads_idle_timeout: int,
    backpressure: int,
    task_impl: Any,
    http_mode: Any,
    http1_settings: Any,
    http2_settings: Any,
    websockets: bool,
    static_path: Any,
    log_access_format: str | None,
    ssl_context: tuple[Any, ...],
    scope_options: Any,
    granian_metrics: Any,
) -> None:
    """Serve an app until a signal comes or the parent is gone. The parameters are those of granian's own workers."""
    parent = os.getppid()
    # What a server has loaded stays to its end: no collection has to look through it while requests wait.
    gc.collect()
    gc.freeze()
    threads = app.config["THREADS"]
    connections = _allow_many_connections()
    gateway = Gateway(app, threads=threads, limit=app.config["MAX_CONTENT_LENGTH"])
    stop_signal, all_answered, stop_requested = WorkerSignal(), threading.Event(), threading.Event()
    stop_signal.add_cb(all_answered.set)

    def stop(number: int, frame: FrameType | None) -> None:
        if not stop_requested.is_set():
            stop_requested.set()
            gateway.stop()
            stop_signal.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    worker = _Worker(
        worker_id, sock, ipc, runtime_threads, runtime_blocking_threads, threads + PROBE_THREADS,
        blocking_threads_idle_timeout, connections, http_mode, http1_settings, http2_settings, False, static_path,
        *ssl_context, granian_metrics,
    )  # fmt: skip
    serve = getattr(worker, _granian_server.WORKERS_METHODS[runtime_mode][(sock[0] or sock[1]).is_uds()])
    loop = _Loop()
    serve(_Scheduler(loop, _get_receiver(gateway, log_access_format), None, None, None), loop, stop_signal)
    _limit_silence()
    metrics.process_starts.labels("server").inc()
    while not stop_requested.wait(CHECK_INTERVAL):
        gateway.check()
        if os.getppid() != parent:
            # Whoever started this process was killed, and so is nobody who could stop it.
            os.kill(os.getpid(), signal.SIGTERM)
    deadline = time.monotonic() + DRAIN_TIMEOUT
    while not all_answered.wait(0.1):
        gateway.check()
        if time.monotonic() > deadline:
            # Readers who take nothing are not waited for.
            os._exit(0)


def _get_receiver(gateway: Gateway, log_access_format: str | None) -> Callable[[Scope, Connection], None]:
    if not log_access_format:
        return gateway.receive
    write = _granian_rsgi._build_access_logger(log_access_format)
    return lambda scope, connection: gateway.receive(scope, _LoggedConnection(connection, scope, write))


def _allow_many_connections() -> int:
    """Let this process have many open files; return how many of them may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    # The upper half is for files that are sent; some are for the database and the log.
    return max(limit // 2 - 100, 1)


def _limit_silence() -> None:
    """Have the system end connections whose reader takes nothing, or whose other end is gone."""
    for number in map(int, os.listdir("/dev/fd")):  # noqa: PTH208
        # The one that lists them is closed by now.
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                _limit_silence_of(number)


def _limit_silence_of(number: int) -> None:
    with socket.socket(fileno=os.dup(number)) as each:
        if each.family == socket.AF_UNIX or not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return
        # Connections have these from the socket that listens.
        each.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_TIMEOUT)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_TIMEOUT * 1000))


def _end_by_signals() -> None:
    """Let a signal end a worker that does not serve yet: its parent's handlers, which it inherits, only note it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class GatewayServer(MPServer):
    """Starts workers that serve through the gateway."""

    def serve(self, spawn_target: Any = None, target_loader: Any = None, wrap_loader: bool = True) -> None:
        super().serve(spawn_target or run_worker, target_loader, wrap_loader)


def main() -> None:
    """Run the server that the command line and the environment describe, by granian's options."""
    _cli.Server = GatewayServer
    os.register_at_fork(after_in_child=_end_by_signals)
    _cli.entrypoint()
