"""``demo run`` as a person meets it: one command on a fresh checkout, a board with work on it, Ctrl-C, and again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import SECRET_KEY, dispose, make_app
from tests.support.paths import ROOT
from tests.support.servers import StartServer
from tests.support.waiting import wait_until
from webapp.core import jobs
from webapp.core.accounts import accounts, sessions
from webapp.core.chores.schedule import list_chores
from webapp.core.database.session import db
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun, Lease, Role
from webapp.core.webhooks.outbound import Outbound
from webapp.core.workspaces import workspaces

PARTS = ("webapp", "templates", "static", "migrations", "examples", "wsgi.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the product with an instance folder of its own, after ``make setup``."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, folder / part)
    (folder / "instance").mkdir()
    (folder / "instance" / "secret_key").write_text(SECRET_KEY)
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
        return free


@contextmanager
def demo(checkout: Path, port: int) -> Iterator[Callable[[], str]]:
    """The demo, serving; what it has printed. Ctrl-C at the end, which must end it well and leave no process."""
    path = checkout / "demo.log"
    ours = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "SECRET_KEY")}
    with path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "demo", "run"],
            cwd=checkout,
            env=ours | {"PORT": str(port)},
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(
            lambda: "Ctrl-C stops everything" in path.read_text() or process.poll() is not None, explain=path.read_text
        )
        assert process.poll() is None, path.read_text()
        yield path.read_text
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, path.read_text()
    assert "Traceback" not in path.read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def on_the_board(status: JobStatus) -> Sequence[JobRun]:
    """The jobs of a status, newest first, as the demo's processes have left them by now."""
    db.session.rollback()
    return db.session.scalars(sa.select(JobRun).where(JobRun.status == status).order_by(JobRun.id.desc())).all()


def done_by_chores() -> set[str]:
    """The chores that a process of the demo has taken upon itself."""
    db.session.rollback()
    return set(db.session.scalars(sa.select(Lease.name)))


def test_the_demo_shows_real_work_obeys_a_cancel_and_goes_on_with_the_same_login(checkout: Path, port: int) -> None:
    app = make_app(f"sqlite:///{checkout / 'instance' / 'callboard.db'}")
    kept = checkout / "instance" / "demo.json"
    with app.app_context():
        with demo(checkout, port) as printed:
            login = json.loads(kept.read_text())
            assert kept.stat().st_mode & 0o777 == 0o600
            for shown in (f"http://127.0.0.1:{port}", login["email"], login["password"]):
                assert shown in printed()
            assert sessions.sign_in(login["email"], login["password"], address="127.0.0.1")
            operator = accounts.get_by_email(login["email"])
            assert workspaces.get_membership("demo", operator.id).role is Role.OWNER

            wait_until(
                lambda: (
                    done_by_chores()
                    == {chore.name for chore in list_chores(Outbound("Callboard/test", allow_private=False))}
                ),
                explain=printed,
            )
            wait_until(lambda: on_the_board(JobStatus.COMPLETED), explain=printed)
            # A job appears when its turn is near, so that those at work stay in sight.
            assert len(on_the_board(JobStatus.PENDING)) + len(on_the_board(JobStatus.RUNNING)) <= 5
            jobs.cancel_job(on_the_board(JobStatus.PENDING)[0].id)
            done = on_the_board(JobStatus.COMPLETED)[0]
            assert done.result
            assert done.result.keys() == {"files", "bytes_in", "bytes_out", "ratio"}

            wait_until(lambda: on_the_board(JobStatus.FAILED), explain=printed)
            assert "no-such-folder" in str(on_the_board(JobStatus.FAILED)[0].error)
            wait_until(
                lambda: any(job.cancel_confirmed_at for job in on_the_board(JobStatus.CANCELED)), explain=printed
            )

        # The runner was stopped before the server was, so nothing on the board waits for it.
        assert not on_the_board(JobStatus.PENDING)
        assert not on_the_board(JobStatus.RUNNING)
        before = len(on_the_board(JobStatus.COMPLETED))
        with demo(checkout, port):
            assert json.loads(kept.read_text()) == login
            assert len(on_the_board(JobStatus.COMPLETED)) >= before
    dispose(app)


def test_a_port_in_use_is_one_line_and_touches_nothing(checkout: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        ended = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", "demo", "run"],
            cwd=checkout,
            env=os.environ | {"PORT": str(port)},
            capture_output=True,
            text=True,
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: Cannot listen on 127.0.0.1:{port}: address already in use.")
    assert ended.stderr.count("\n") == 1
    assert not (checkout / "instance" / "demo.json").exists()


# --- the sample runner alone -------------------------------------------------------------------------------------

ON_OTHER_FOLDERS = """
import sys
from pathlib import Path
sys.path.insert(0, "examples")
import archive_runner
archive_runner.STANDARD_LIBRARY = Path(sys.argv[1])
archive_runner.RETRY_AFTER = (0.1, 0.1)
archive_runner.main()
"""


@contextmanager
def sample_runner(address: str, token: str, folders: Path) -> Iterator[subprocess.Popen[str]]:
    """The sample runner as a process, at work on the folders of a folder; told to end, it must end well."""
    process = subprocess.Popen(
        [sys.executable, "-c", ON_OTHER_FOLDERS, str(folders)],
        cwd=ROOT,
        env=os.environ | {"CALLBOARD_URL": address, "CALLBOARD_TOKEN": token},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
        assert process.wait(20) == 0


def fill(folder: Path, megabytes: int) -> None:
    """A folder with one file. A megabyte that cannot be compressed takes a runner a good part of a second."""
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(os.urandom(megabytes * 1024 * 1024) + b"end")


def test_a_cancel_stops_a_job_in_the_middle_of_a_file(
    app: Flask, server: StartServer, token: str, tmp_path: Path
) -> None:
    fill(tmp_path / "library" / "folder", megabytes=50)
    [address] = server()
    with app.app_context(), sample_runner(address, token, tmp_path / "library"):
        wait_until(lambda: any(job.progress for job in on_the_board(JobStatus.RUNNING)), explain=lambda: "no progress")
        [job] = on_the_board(JobStatus.RUNNING)
        result = app.test_cli_runner().invoke(args=["jobs", "cancel", str(job.id)])
        assert result.exit_code == 0
        wait_until(
            lambda: on_the_board(JobStatus.CANCELED)[0].cancel_confirmed_at, explain=lambda: "not stopped", seconds=5
        )
        assert on_the_board(JobStatus.CANCELED)[0].progress < 99


def test_a_runner_that_is_told_to_end_takes_its_jobs_off_the_board(
    app: Flask, server: StartServer, token: str, tmp_path: Path
) -> None:
    for number in range(9):
        fill(tmp_path / "library" / f"folder-{number}", megabytes=50 if number < 2 else 0)
    [address] = server()
    with app.app_context():
        with sample_runner(address, token, tmp_path / "library"):
            wait_until(lambda: len(on_the_board(JobStatus.PENDING)) == 3, explain=lambda: "not three waiting")
            wait_until(lambda: len(on_the_board(JobStatus.RUNNING)) == 2, explain=lambda: "not two at work")
        assert len(on_the_board(JobStatus.CANCELED)) == 5
        assert not on_the_board(JobStatus.PENDING)
        assert not on_the_board(JobStatus.RUNNING)


class PassingBoard(BaseHTTPRequestHandler):
    """A board that takes whatever it is told, for as long as it is there."""

    called = threading.Event()

    def do_POST(self) -> None:
        self.called.set()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"id": "1"}')

    do_PATCH = do_POST

    def log_message(self, *_: object) -> None:
        pass


def test_a_runner_outlives_a_board_that_goes_away_in_the_middle_of_a_round(tmp_path: Path) -> None:
    for number in range(300):
        fill(tmp_path / f"folder-{number}", megabytes=0)
    with HTTPServer(("127.0.0.1", 0), PassingBoard) as board:
        thread = threading.Thread(target=board.serve_forever)
        thread.start()
        with sample_runner(f"http://127.0.0.1:{board.server_port}", "", tmp_path) as process:
            assert PassingBoard.called.wait(20)
            board.shutdown()
            thread.join()
            board.server_close()
            assert process.stderr
            assert any("cannot be used" in line for line in iter(process.stderr.readline, ""))
            assert process.poll() is None
