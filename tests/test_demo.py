"""``demo run`` as a person meets it: one command on a fresh checkout, a board with work on it, Ctrl-C, and again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import ROOT, SECRET_KEY, dispose, make_app
from webapp.core import accounts, jobs, workspaces
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun, Role
from webapp.extensions import db

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
        until(lambda: "Ctrl-C stops everything" in path.read_text() or process.poll() is not None, path.read_text)
        assert process.poll() is None, path.read_text()
        yield path.read_text
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, path.read_text()
    assert "Traceback" not in path.read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def until(true: Callable[[], bool], explain: Callable[[], str], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


def on_the_board(status: JobStatus) -> Sequence[JobRun]:
    """The jobs of a status, newest first, as the demo's processes have left them by now."""
    db.session.rollback()
    return db.session.scalars(sa.select(JobRun).where(JobRun.status == status).order_by(JobRun.id.desc())).all()


def test_the_demo_shows_real_work_obeys_a_cancel_and_goes_on_with_the_same_login(checkout: Path, port: int) -> None:
    app = make_app(f"sqlite:///{checkout / 'instance' / 'callboard.db'}")
    kept = checkout / "instance" / "demo.json"
    with app.app_context():
        with demo(checkout, port) as printed:
            login = json.loads(kept.read_text())
            assert kept.stat().st_mode & 0o777 == 0o600
            for shown in (f"http://127.0.0.1:{port}", login["email"], login["password"]):
                assert shown in printed()
            assert accounts.sign_in(login["email"], login["password"], address="127.0.0.1")
            operator = accounts.by_email(login["email"])
            assert workspaces.membership("demo", operator.id).role is Role.OWNER

            until(lambda: bool(on_the_board(JobStatus.COMPLETED)), printed)
            jobs.cancel_job(on_the_board(JobStatus.PENDING)[0].id)
            done = on_the_board(JobStatus.COMPLETED)[0]
            assert done.result
            assert done.result.keys() == {"files", "bytes_in", "bytes_out", "ratio"}

            until(lambda: bool(on_the_board(JobStatus.FAILED)), printed)
            assert "no-such-folder" in str(on_the_board(JobStatus.FAILED)[0].error)
            until(lambda: any(job.cancel_confirmed_at for job in on_the_board(JobStatus.CANCELED)), printed)

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
