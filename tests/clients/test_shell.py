"""``callboard jobs`` and ``callboard watch``: tables on a terminal, JSON for programs."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from callboard_client import Client
from callboard_client.cli.main import main
from callboard_client.cli.terminal import bar, clean, cut, table
from flask import Flask

from tests.support.jobs import add_events
from tests.support.operator import Operator

CALLBOARD = str(Path(sys.executable).with_name("callboard"))


def run_piped(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command whose output goes to a program."""
    return subprocess.run([CALLBOARD, *arguments], capture_output=True, text=True, timeout=30)


def run_json(*arguments: str) -> Any:
    """Run a command; return the JSON that a program gets."""
    done = run_piped(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Terminal:
    """A command on a terminal of so many columns, and all that it has shown."""

    def __init__(self, columns: int, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [CALLBOARD, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=environ | {"TERM": "xterm"},
            # As a terminal starts it: tests that run in the background ignore Ctrl-C, and so would what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)
        self.shown = ""

    def read(self) -> bool:
        """Wait for more; whether there may be any."""
        try:
            piece = os.read(self._ours, 65_536)
        except OSError:
            return False
        self.shown += piece.decode().replace("\r\n", "\n")
        return bool(piece)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(environ: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    with ExitStack() as ends:

        def start(*arguments: str, columns: int = 120) -> Terminal:
            started = Terminal(columns, *arguments)
            ends.callback(started.close)
            return started

        yield start


def read_all(shown: Terminal) -> str:
    """Return all that a command shows until it ends, without colors."""
    while shown.read():
        pass
    return re.sub(r"\x1b\[\d+m", "", shown.shown)


@pytest.fixture
def jobs_by_status(runner: Client) -> dict[str, str]:
    """A job in each of four statuses, by status."""
    made = {status: runner.enqueue_job("generate-report", tags=[status]).id for status in ("pending", "running")}
    runner.update_job_status(made["running"], "running", progress=40, message="page 4 of 10 \x1b[2J äöü 日本語")
    for status in ("completed", "failed"):
        made[status] = runner.enqueue_job("nightly-backup").id
        runner.update_job_status(made[status], "running")
    runner.update_job_status(made["completed"], "completed", result={"files": 3})
    runner.update_job_status(
        made["failed"], "failed", error="Traceback (most recent call last):\n  …\nOSError: disk full"
    )
    return made


def test_a_program_gets_the_jobs_as_json(runner: Client, jobs_by_status: dict[str, str]) -> None:
    assert [job["id"] for job in run_json("jobs", "list")] == list(jobs_by_status.values())[::-1]
    assert [job["id"] for job in run_json("jobs", "list", "--limit", "1")] == [jobs_by_status["failed"]]
    (live,) = run_json("jobs", "list", "--status", "running", "--type", "generate-report", "--tag", "running")
    assert live["id"] == jobs_by_status["running"]
    shown = run_json("jobs", "show", jobs_by_status["completed"])
    assert (shown["result"], shown["tags"], shown["started_at"][-1]) == ({"files": 3}, [], "Z")
    assert [event["to"] for event in shown["events"]] == ["pending", "running", "completed"]


def test_a_person_gets_a_table_as_wide_as_the_terminal(
    jobs_by_status: dict[str, str], terminal: Callable[..., Terminal]
) -> None:
    lines = read_all(terminal("jobs", "list", columns=140)).splitlines()
    assert lines[0].split() == ["ID", "STATUS", "PROGRESS", "TYPE", "SINCE", "MESSAGE"]
    assert [line.split()[1] for line in lines[1:]] == ["failed", "completed", "running", "pending"]
    assert lines[1].endswith("OSError: disk full")
    # What a runner says does not clear the screen.
    assert "█████░░░░░░░  40 %  generate-report" in lines[3]
    assert lines[3].endswith("page 4 of 10  [2J äöü 日本語")
    for columns in (80, 100):
        narrow = read_all(terminal("jobs", "list", columns=columns)).splitlines()
        assert len(narrow) == 5
        assert max(map(len, narrow)) <= columns
        assert narrow[3].startswith(f"{jobs_by_status['running']}  running     40 %  genera")
        assert narrow[3].endswith("…")


def test_one_job_on_a_terminal(jobs_by_status: dict[str, str], terminal: Callable[..., Terminal]) -> None:
    shown = read_all(terminal("jobs", "show", jobs_by_status["failed"]))
    assert shown.startswith("nightly-backup  failed")
    assert re.search(r"running → failed by token:", shown)
    assert shown.rstrip().endswith("OSError: disk full")
    assert '"files": 3' in read_all(terminal("jobs", "show", jobs_by_status["completed"]))


def test_cancel_says_what_became_of_each(runner: Client, jobs_by_status: dict[str, str], operator: Operator) -> None:
    done = run_piped(
        "jobs", "cancel", jobs_by_status["running"], jobs_by_status["completed"], "0193a000-0000-7000-8000-000000000001"
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "canceled"
    assert len(done.stderr.splitlines()) == 2
    assert jobs_by_status["completed"] in done.stderr
    assert operator.job(jobs_by_status["running"])["status"] == "canceled"


def test_tail_follows_a_log_to_the_end_of_its_job(runner: Client, terminal: Callable[..., Terminal]) -> None:
    job = runner.job("generate-report").start()
    job.log("first\nsecond")
    runner.flush()
    seen = terminal("jobs", "tail", str(job.id))
    while "second" not in seen.shown:
        assert seen.read()
    job.log("third", "error")
    job.complete()
    runner.flush()
    lines = read_all(seen).splitlines()
    assert [line.split("  ")[1] for line in lines[:3]] == ["first", "second", "third"]
    assert lines[3:] == ["The job is completed."]
    assert seen.process.wait() == 0
    quick = run_piped("jobs", "tail", "--no-follow", str(job.id))
    assert [json.loads(line)["text"] for line in quick.stdout.splitlines()] == ["first", "second", "third"]


def test_watch_draws_again_and_ends_with_ctrl_c(
    runner: Client, jobs_by_status: dict[str, str], terminal: Callable[..., Terminal]
) -> None:
    seen = terminal("watch")
    while "40 %" not in seen.shown:
        assert seen.read()
    runner.update_job_status(jobs_by_status["running"], progress=75)
    while "█████████░░░  75 %" not in seen.shown:
        assert seen.read()
    assert re.search(r"\x1b\[\d+F\x1b\[J", seen.shown)
    assert "1 running" in seen.shown
    os.kill(seen.process.pid, 2)
    assert seen.process.wait(10) == 0


def test_watch_tells_a_program_of_each_change(runner: Client, environ: dict[str, str]) -> None:
    job = runner.enqueue_job("generate-report")
    with subprocess.Popen([CALLBOARD, "watch"], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout
        assert json.loads(watching.stdout.readline())["status"] == "pending"
        runner.update_job_status(job.id, "running", progress=5)
        assert json.loads(watching.stdout.readline())["progress"] == 5
        runner.update_job_status(job.id, "completed")
        assert json.loads(watching.stdout.readline())["status"] == "completed"
        watching.terminate()


def test_a_call_that_cannot_be_done_says_so_in_a_line(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    unknown = run_piped("jobs", "show", "0193a000-0000-7000-8000-000000000001")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)
    monkeypatch.setenv("CALLBOARD_URL", f"http://127.0.0.1:{port}")
    away = run_piped("jobs", "list")
    assert (away.returncode, away.stdout, len(away.stderr.splitlines())) == (3, "", 1)
    assert "cannot be reached" in away.stderr
    monkeypatch.delenv("CALLBOARD_URL")
    assert "CALLBOARD_URL" in run_piped("jobs", "list").stderr
    assert run_piped("jobs").returncode == 2


def test_whoever_reads_no_further_ends_it_quietly(runner: Client, jobs_by_status: dict[str, str]) -> None:
    done = subprocess.run(
        f"{CALLBOARD} jobs list | head -c 1", shell=True, capture_output=True, text=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("[", "")


def test_letters_that_take_two_columns_are_counted_so() -> None:
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 6) == "日本語"
    assert table(("A", "B"), [("日", "x"), ("ab", "y")], long=[1]) == ["A   B", "日  x", "ab  y"]
    assert (bar(0), bar(100)) == ("░░░░░░░░░░░░   0 %", "████████████ 100 %")
    assert clean("a\x1b[31m\n\u202eb") == "a [31m b"


HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b2J\u202egnp.exe"


@pytest.fixture
def hostile_board(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A board that answers whatever it is asked with what would rule a terminal."""
    texts = ("id", "type", "status", "message", "error", "runner", "link", "created_by", "failure_reason", "parent_id")
    job = dict.fromkeys(texts, HOSTILE) | {"tags": [HOSTILE], "payload": {HOSTILE: HOSTILE}}
    job["created_at"] = "2026-11-24T14:02:00Z"
    event = dict.fromkeys(("at", "from", "to", "kind", "by", "message"), HOSTILE)
    refusal = json.dumps({"title": HOSTILE, "detail": HOSTILE, "code": HOSTILE, "status": 403, "errors": []}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/events"):
                self._answer(200, json.dumps({"data": [event], "next_cursor": None}).encode())
            elif self.path.endswith("/refused"):
                self._answer(403, refusal)
            elif "/logs" in self.path:
                lines = [{"seq": 1, "at": HOSTILE, "level": None, "text": HOSTILE}] if "after=0" in self.path else []
                self._answer(200, json.dumps({"data": lines, "next_after": 1}).encode())
            elif "/jobs/" in self.path:
                self._answer(200, json.dumps(job).encode())
            else:
                self._answer(200, json.dumps({"data": [job], "next_cursor": None}).encode())

        def do_POST(self) -> None:
            self._answer(403, refusal)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status == 200 else "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("CALLBOARD_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("CALLBOARD_TOKEN", "cb_0123456789ab_secret")
        yield
        server.shutdown()


@pytest.mark.parametrize("words", ["list", "show x", "show refused", "tail x --no-follow", "cancel x"])
def test_a_hostile_board_cannot_rule_the_terminal(words: str, hostile_board: None) -> None:
    with ExitStack() as ends:
        shell = Terminal(100, "jobs", *words.split())
        ends.callback(shell.close)
        shown = read_all(shell)
    assert "gnp.exe" in shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown), repr(shown)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (["jobs", "list"], '{"data": [], "next_cursor": null}'),
        (["jobs", "show", "a"], '{"id": "a", "type": "t", "status": "running", "created_at": "2026-11-24T00:00:00Z"}'),
        (["jobs", "tail", "a", "--no-follow"], '{"data": [], "next_after": 0}'),
    ],
)
@pytest.mark.parametrize("ending", ["length", "chunks"])
def test_an_answer_that_breaks_off_is_no_answer(
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    answer: str,
    ending: str,
) -> None:
    monkeypatch.setattr("callboard_client.client.RETRY_PAUSES", ())
    monkeypatch.setenv("CALLBOARD_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("CALLBOARD_TOKEN", "cb_x_y")
    with broken_off(port, answer, ending):
        assert main(command) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("callboard: The board cannot be reached: ")


@contextmanager
def broken_off(port: int, answer: str, ending: str) -> Iterator[None]:
    """Answer every request with something that reads as if it were whole, and end before all of it has come."""

    class Breaking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = answer.encode()
            self.send_response(200)
            if ending == "length":
                self.send_header("Content-Length", str(len(body) + 100))
                self.end_headers()
                self.wfile.write(body)
            else:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Breaking)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_long_history_is_read_page_by_page(runner: Client, app: Flask) -> None:
    job_id = runner.enqueue_job("report").id
    with app.app_context():
        add_events(uuid.UUID(job_id), 1_100)
    assert [event["id"] for event in runner.list_events(job_id)] == list(range(1, 1_102))
    assert len(run_json("jobs", "show", job_id)["events"]) == 1_101
