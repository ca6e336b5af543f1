"""What goes wrong around a job is not the job's business, and what is wrong with one job is no other's."""

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from callboard_client import BoardRefused, BoardUnreachable, Client, Job, JobCanceled, Unauthorized
from flask import Flask

from tests.support.operator import Operator
from tests.support.people import Cast
from tests.support.servers import Board, Outage
from tests.support.waiting import run_coroutine, wait_until
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.workspaces import tokens


@contextmanager
def serve_in_place_of_board(port: int, status: int, body: bytes, **headers: str) -> Iterator[list[str]]:
    """Answer at the board's address as something else; the paths that were requested."""
    paths: list[str] = []

    class Stranger(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PATCH = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Stranger)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_all_jobs_of_a_process_give_signs_of_life(runner: Client, operator: Operator) -> None:
    silent = [runner.job("silent", heartbeat_timeout=1).start() for _ in range(20)]
    chatty = runner.job("chatty", heartbeat_timeout=1).start()

    def all_were_heard_since(begun: dict[str, str]) -> bool:
        chatty.progress(50)
        return all(job["last_seen_at"] > begun[job["id"]] for job in operator.jobs)

    for _ in range(2):
        begun = {job["id"]: job["last_seen_at"] for job in operator.jobs}
        wait_until(lambda begun=begun: all_were_heard_since(begun))  # type: ignore[misc]
    for job in (*silent, chatty):
        job.complete()


def test_what_is_wrong_with_one_job_costs_no_other(runner: Client, operator: Operator) -> None:
    healthy = [runner.job("healthy").start() for _ in range(3)]
    odd: Any = Path("/no/address")
    wrong = [
        runner.job("key", key="order-17\n").start(),
        runner.job("letters", key="März").start(),
        runner.job("limits", max_duration=timedelta(hours=1), heartbeat_timeout=odd).start(),  # type: ignore[arg-type]
        runner.job("payload", {"text": "x" * 300_000}, tags=["y" * 70], link=odd).start(),
    ]
    nobody = runner.attach("0193a000-0000-7000-8000-000000000001\n").start()
    for job in (*healthy, *wrong, nobody):
        job.progress(float("nan"), message=odd)
        job.progress(77, message=odd)
        job.update(link=odd)
        job.log(odd, level="critical")
        job.log("said", level="loudly")
    for job in healthy:
        wait_until(lambda job=job: operator.job(job.id)["progress"] == 77)  # type: ignore[misc]
    with pytest.raises(ZeroDivisionError), nobody:
        divmod(1, 0)
    for job in (*healthy, *wrong):
        job.complete({"n": 10**5000})
        board_job = operator.job(job.id)
        assert (board_job["status"], board_job["message"]) == ("completed", "/no/address")
        assert operator.log(job.id) == ["/no/address", "said"]
    assert operator.job(wrong[2].id)["max_duration"] == 3600
    assert operator.job(wrong[3].id)["payload"] is None


def test_many_large_ends_at_once_are_all_told(outage: Outage, operator: Operator, token: str) -> None:
    with Client(outage.address, token) as client:
        jobs = [client.job("large").start() for _ in range(12)]
        outage.stop()
        for job in jobs:
            job.fail("界" * 59_000)
        outage.start()
        wait_until(lambda: [job["status"] for job in operator.jobs] == ["failed"] * 12)
    assert operator.newest["error"].endswith("界界")


def test_what_contains_itself_comes_to_an_end(runner: Client, operator: Operator) -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless["b"] = endless
    with runner.job("endless", endless):
        pass
    assert operator.newest["status"] == "completed"


def test_much_that_is_logged_holds_nothing_up(runner: Client, operator: Operator) -> None:
    jobs = [runner.job("many", heartbeat_timeout=3).start() for _ in range(40)]
    for number in range(3):
        for job in jobs:
            for line in range(20):
                job.log(f"{number} {line} " + "x" * 3_000)
            job.progress(number)
    for job in jobs:
        job.progress(99)
    wait_until(lambda: all(job["progress"] == 99 for job in operator.jobs), 10)
    for job in jobs:
        job.complete()
    assert operator.log(jobs[-1].id)[-1].startswith("2 19 xxx")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b'{"ok": true}', {}),
        (200, b"[]", {}),
        (200, b"<html>Sign in</html>", {}),
        (200, b"no gzip", {"Content_Encoding": "gzip"}),
        (404, b'{"code": "no_route", "message": "?"}', {}),
        (413, b"<html>too large</html>", {}),
        (302, b"", {"Location": "https://example.com/"}),
        (429, b"", {"Retry_After": "86400"}),
    ],
)
def test_what_answers_in_the_board_s_place_is_no_answer(
    outage: Outage,
    operator: Operator,
    token: str,
    port: int,
    tmp_path: Path,
    status: int,
    body: bytes,
    headers: dict[str, str],
) -> None:
    outage.stop()
    with (
        serve_in_place_of_board(port, status, body, **headers) as paths,
        Client(outage.address, token, spool=tmp_path) as client,
    ):
        begun = time.monotonic()
        with client.job("patient") as job:
            job.result = {"n": 1}
        assert time.monotonic() - begun < 4
        assert paths
        client.close(timeout=0)
    outage.start()
    with Client(outage.address, token, spool=tmp_path) as client, client.job("next"):
        pass
    wait_until(
        lambda: {job["type"]: job["status"] for job in operator.jobs} == {"patient": "completed", "next": "completed"}
    )


def test_a_spool_tells_no_other_workspace(
    outage: Outage, operator: Operator, token: str, app: Flask, cast: Cast, tmp_path: Path
) -> None:
    with app.app_context():
        other = tokens.create_unchecked(cast.other.id, "a runner of other", by=SYSTEM)[1]
    outage.stop()
    with Client(outage.address, token, spool=tmp_path) as client:
        with client.job("of acme"):
            pass
        client.close(timeout=0)
    outage.start()
    with Client(outage.address, other, spool=tmp_path) as client, client.job("of other"):
        pass
    elsewhere = Operator(outage.address, other)
    assert [job["type"] for job in elsewhere.jobs] == ["of other"]
    elsewhere.close()
    assert operator.jobs == []
    with Client(outage.address, token, spool=tmp_path) as client, client.job("of acme, too"):
        pass
    wait_until(lambda: {job["type"] for job in operator.jobs} == {"of acme", "of acme, too"})


def test_lines_that_wait_in_a_spool_are_all_told(
    outage: Outage, operator: Operator, token: str, tmp_path: Path
) -> None:
    with Client(outage.address, token, spool=tmp_path, interval=0.05) as client:
        job = client.job("chatty").start()
        outage.stop()
        for number in range(30):
            job.log(f"line {number}")
            time.sleep(0.05)
        job.complete()
        client.close(timeout=0)
    outage.start()
    with Client(outage.address, token, spool=tmp_path) as client, client.job("next"):
        pass
    wait_until(lambda: operator.job(job.id)["status"] == "completed")
    assert operator.log(job.id) == [f"line {number}" for number in range(30)]


def test_a_block_may_be_left_in_another_context(runner: Client, operator: Operator) -> None:
    def work() -> Iterator[int]:
        with runner.job("generator"):
            yield 1
            yield 2

    running = work()
    contextvars.copy_context().run(next, running)
    assert contextvars.copy_context().run(list, running) == [2]
    assert operator.newest["status"] == "completed"
    closed = work()
    next(closed)
    closed.close()  # type: ignore[attr-defined]
    assert operator.newest["status"] == "canceled"


def test_a_task_that_is_canceled_while_it_enters_leaves_no_job_behind(
    runner: Client, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    start = Job.start

    def slow_start(job: Job, message: str | None = None) -> Job:
        entered.set()
        go_on.wait(20)
        return start(job, message)

    monkeypatch.setattr(Job, "start", slow_start)

    async def work() -> None:
        async with runner.job("hasty"):
            pytest.fail("It ran.")

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.to_thread(entered.wait, 20)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        go_on.set()
        await asyncio.to_thread(wait_until, lambda: operator.jobs and operator.newest["status"] == "canceled")

    run_coroutine(main())


def test_a_child_that_leaves_its_parent_s_block_does_not_end_the_job(runner: Client, operator: Operator) -> None:
    with runner.job("parent") as job:
        pid = os.fork()
        if pid == 0:  # pragma: no cover - another process
            with suppress(BaseException):
                job.__exit__(None, None, None)
            os._exit(0)
        os.waitpid(pid, 0)
        assert operator.job(job.id)["status"] == "running"
    assert operator.job(job.id)["status"] == "completed"


def test_work_that_does_not_want_to_hear_of_a_stop_holds_on_to_nothing(runner: Client, operator: Operator) -> None:
    job = runner.job("stubborn").start()
    operator.cancel(job.id)
    job.progress(1)
    wait_until(lambda: job.stop_requested)
    seen: set[int] = set()
    for _ in range(100):
        try:
            job.progress(2)
        except JobCanceled as stop:
            depth, trace = 0, stop.__traceback__
            while trace:
                depth, trace = depth + 1, trace.tb_next
            seen.add(depth)
    assert max(seen) <= 4


def test_a_cancel_of_a_part_is_none_of_the_whole(runner: Client, operator: Operator) -> None:
    whole, part = runner.job("whole"), runner.job("part")

    def work() -> None:
        with whole, part:
            operator.cancel(part.id)
            while True:
                part.progress(1)
                time.sleep(0.01)

    with pytest.raises(JobCanceled):
        work()
    assert operator.job(part.id)["cancel_confirmed_at"]
    board_job = operator.job(whole.id)
    assert (board_job["status"], "JobCanceled" in board_job["error"]) == ("failed", True)


def test_a_strict_job_that_did_not_begin_is_not_told_of_later(outage: Outage, operator: Operator, token: str) -> None:
    outage.stop()
    with Client(outage.address, token, strict=True) as client:
        with pytest.raises(BoardUnreachable, match="cannot be reached"), client.job("strict"):
            pytest.fail("It ran.")
        outage.start()
        assert client.flush(20)
        with client.job("next"):
            pass
    assert [job["type"] for job in operator.jobs] == ["next"]


def test_a_child_of_a_job_made_in_an_outage_belongs_to_it(outage: Outage, operator: Operator, token: str) -> None:
    outage.stop()
    with Client(outage.address, token) as client:
        with client.job("whole") as whole, client.job("part", parent=whole):
            pass
        outage.start()
        wait_until(lambda: len(operator.jobs) == 2)
        by_type = {job["type"]: job for job in operator.jobs}
    assert operator.job(by_type["part"]["id"])["parent_id"] == by_type["whole"]["id"]


def test_a_generator_function_is_refused_and_a_bare_decorator_is_none_too_few(
    runner: Client, operator: Operator
) -> None:
    with pytest.raises(TypeError, match="generator"):

        @runner.track()
        def numbers() -> Iterator[int]:
            yield 1

    @runner.track
    def double(number: int) -> int:
        return number * 2

    assert double(2) == 4
    assert (operator.newest["type"], operator.newest["status"]) == ("double", "completed")


def test_wrong_settings_keep_no_work_from_being_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    for url, token in (("https://board.example", "cb_ü"), ("no address", "cb_a_b"), ("http://[", "cb_a_b\n")):
        with Client(url, token, spool=tmp_path / "file") as client:
            with client.job("t") as job:
                job.progress(1)
            client.close(timeout=0)


def test_a_job_that_a_token_may_not_cancel_does_not_hold_up_its_other_reports(
    sqlite_board: Board, app: Flask, cast: Cast
) -> None:
    """The board refuses the end of a job of another token; a token that is closed altogether is another matter."""
    with app.app_context():
        _, text = tokens.create_unchecked(cast.acme.id, "another runner", by=SYSTEM)
        strange = jobs.enqueue_job("report", cast.acme.id)
    with Client(sqlite_board.address, text) as client:
        with pytest.raises(BoardRefused) as caught:
            client.update_job_status(str(strange), status="canceled")
        assert (caught.value.code, isinstance(caught.value, Unauthorized)) == ("missing_scope", False)
        assert client.update_job_status(str(strange), status="running").status == "running"
        assert client.update_job_status(str(strange), status="canceled").status == "canceled"
