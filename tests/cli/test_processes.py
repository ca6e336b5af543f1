"""What the processes of a board hold while they live, and what is left when they have stopped or were killed."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest

from tests.support.paths import ROOT
from tests.support.processes import on_linux, serve, wait_until_it_serves
from webapp.cli.processes import ChildProcesses, claim_port


def try_to_claim(port: int) -> str:
    try:
        with claim_port("127.0.0.1", port):
            return "free"
    except click.ClickException as refused:
        return refused.message


@on_linux
def test_of_two_boards_that_start_at_once_on_a_port_the_second_is_refused(port: int) -> None:
    with ThreadPoolExecutor(1) as thread, socket.socket() as server:
        with claim_port("127.0.0.1", port):
            second = thread.submit(try_to_claim, port)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
            # As the server does, which would let another server share the port.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            server.bind(("127.0.0.1", port))
            server.listen()
        assert "Cannot listen on" in second.result(timeout=10)


def test_a_port_is_free_again_once_a_start_has_failed(port: int) -> None:
    for _ in range(2):
        assert try_to_claim(port) == "free"


MAKE_FOLDER = """
import sys, time
from pathlib import Path
from webapp.cli.processes import ChildProcesses
with ChildProcesses(Path.cwd()) as children:
    print(children.make_folder(sys.argv[1]), flush=True)
    time.sleep(60)
"""


def test_the_folder_of_a_board_that_was_killed_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}\n{MAKE_FOLDER}", "test-"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        folder = Path(other.stdout.readline().strip())
        with pytest.MonkeyPatch.context() as signals:
            signals.setattr(signal, "signal", lambda *_: None)
            with ChildProcesses(ROOT) as children:
                children.make_folder("test-")
                assert folder.exists()
                other.kill()
                other.wait()
                children.make_folder("test-")
                assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


@on_linux
def test_a_board_that_has_stopped_leaves_one_whole_file(sqlite_template: Path, port: int, tmp_path: Path) -> None:
    database = Path(shutil.copy(sqlite_template, tmp_path / "callboard.db"))
    log = tmp_path / "serve.log"
    with serve(f"sqlite:///{database}", port, tmp_path) as process:
        try:
            wait_until_it_serves(process, log)
            assert (tmp_path / "callboard.db-wal").exists()
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert not (tmp_path / "callboard.db-wal").exists()
