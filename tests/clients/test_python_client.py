"""The Python client: a few lines in a task, and the board knows what there is to know."""

import asyncio
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from callboard_client import (
    AsyncClient,
    BoardRefused,
    BoardUnreachable,
    Client,
    JobCanceled,
    JobConflict,
    JobNotFound,
    JobStopped,
    JobTimedOut,
    NotConfigured,
    Unauthorized,
    current_job,
)
from flask import Flask

from tests.support.clock import Clock
from tests.support.operator import Operator, wait_until_lost
from tests.support.people import Cast
from tests.support.servers import Outage
from tests.support.waiting import run_coroutine, wait_until
from webapp.core.chores import liveness

Program = Callable[..., "subprocess.Popen[str]"]


# --- the four verbs ----------------------------------------------------------------------------------------------


def test_the_four_verbs(runner: Client) -> None:
    job = runner.enqueue_job("generate-report", {"month": "2026-10"}, tags=["monthly"], max_duration=60)
    assert (job.status, job.payload, job.tags, job.max_duration) == ("pending", {"month": "2026-10"}, ("monthly",), 60)
    running = runner.update_job_status(job.id, "running", progress=40, message="page 4 of 10")
    assert (running.status, running.progress, running.message) == ("running", 40, "page 4 of 10")
    assert running.started_at
    assert running.started_at.utcoffset() is not None
    assert runner.cancel_job(job.id).canceled_by
    with pytest.raises(JobCanceled) as stop:
        runner.update_job_status(job.id, progress=50)
    assert stop.value.job.progress == 40
    assert runner.get_job_status(job.id).status == "canceled"


def test_a_verb_that_is_refused_says_why(runner: Client, environ: dict[str, str], outage: Outage) -> None:
    with pytest.raises(BoardRefused, match=r"(?s)/max_duration.*/type|/type.*/max_duration"):
        runner.enqueue_job("", max_duration=0)
    with pytest.raises(JobNotFound):
        runner.get_job_status("0193a000-0000-7000-8000-000000000001")
    job = runner.enqueue_job("generate-report", key="order-7")
    assert runner.enqueue_job("generate-report", key="order-7").id == job.id
    with pytest.raises(JobConflict, match="pending") as conflict:
        runner.update_job_status(job.id, "completed")
    assert conflict.value.job.status == "pending"
    with Client(token="cb_wrong_token") as stranger, pytest.raises(Unauthorized):
        stranger.get_job_status(job.id)
    outage.stop()
    with Client(outage.address) as lonely, pytest.raises(BoardUnreachable, match="cannot be reached"):
        lonely.get_job_status(job.id)


def test_jobs_are_listed_page_by_page(runner: Client) -> None:
    made = [runner.enqueue_job("generate-report", tags=[f"n{number}"]).id for number in range(103)]
    assert [job.id for job in runner.list_jobs()] == made[::-1]
    assert [job.id for job in runner.list_jobs(limit=101)] == made[:1:-1]
    assert [job.id for job in runner.list_jobs(tag="n7", status=["pending", "running"], type="generate-report")] == [
        made[7]
    ]


# --- a block -----------------------------------------------------------------------------------------------------


def test_a_block_is_a_job_from_its_start_to_its_end(runner: Client, operator: Operator) -> None:
    with runner.job("generate-report", {"month": "2026-10"}, tags=["monthly"]) as job:
        job.progress(40, message="page 4 of 10")
        job.log("first line\nsecond line")
        wait_until(lambda: operator.job(job.id)["progress"] == 40)
        assert operator.job(job.id)["message"] == "page 4 of 10"
        job.result = {"pages": 10}
    board_job = operator.job(job.id)
    assert (board_job["status"], board_job["progress"], board_job["result"]) == ("completed", 100, {"pages": 10})
    assert (board_job["payload"], board_job["tags"], board_job["heartbeat_timeout"]) == (
        {"month": "2026-10"},
        ["monthly"],
        60,
    )
    assert board_job["runner"].endswith(f":{os.getpid()}")
    assert operator.history(job.id) == ["pending", "running", "completed"]
    assert operator.log(job.id) == ["first line", "second line"]


def test_an_exception_fails_the_job_with_its_traceback_and_goes_on(runner: Client, operator: Operator) -> None:
    with pytest.raises(ZeroDivisionError), runner.job("divide"):
        divmod(1, 0)
    board_job = operator.newest
    assert (board_job["status"], board_job["failure_reason"]) == ("failed", "error")
    assert board_job["error"].startswith("Traceback (most recent call last):")
    assert board_job["error"].strip().endswith("ZeroDivisionError: integer division or modulo by zero")


@pytest.mark.parametrize(
    ("leaving", "status"),
    [(SystemExit(0), "completed"), (SystemExit(3), "failed"), (KeyboardInterrupt(), "canceled")],
)
def test_a_program_that_ends_inside_a_block_is_told(
    runner: Client, operator: Operator, leaving: BaseException, status: str
) -> None:
    with pytest.raises(type(leaving)), runner.job("nightly"):
        raise leaving
    assert operator.newest["status"] == status


def test_a_cancel_reaches_the_work_at_its_next_report(runner: Client, operator: Operator) -> None:
    job = runner.job("generate-report")
    stops: list[JobStopped] = []
    job.on_stop(stops.append)

    def work() -> None:
        with job:
            operator.cancel(job.id)
            for page in range(10_000):
                job.progress(page / 100)
                time.sleep(0.01)

    with pytest.raises(JobCanceled) as stop:
        work()
    assert [type(each) for each in stops] == [JobCanceled]
    assert stop.value.job.id == job.id
    assert job.stop_requested
    board_job = operator.job(job.id)
    assert board_job["status"] == "canceled"
    assert board_job["cancel_confirmed_at"]
    assert board_job["progress"] < 100


def test_work_that_says_nothing_hears_of_a_cancel_by_the_heartbeat(runner: Client, operator: Operator) -> None:
    with runner.job("silent", heartbeat_timeout=1) as job:
        operator.cancel(job.id)
        wait_until(lambda: job.stop_requested)
    # It went on to its end, and the board says so.
    assert operator.history(job.id)[-1] == "refused"
    assert operator.job(job.id)["cancel_confirmed_at"] is None


def test_a_job_that_was_canceled_before_its_turn_does_not_run(runner: Client, operator: Operator) -> None:
    waiting = runner.job("generate-report").enqueue()
    operator.cancel(waiting.id)
    with pytest.raises(JobCanceled), runner.attach(str(waiting.id)):
        pytest.fail("It ran.")
    assert operator.job(waiting.id)["cancel_confirmed_at"]


def test_a_job_past_its_time_is_told_to_stop(runner: Client, operator: Operator, app: Flask, clock: Clock) -> None:
    job = runner.job("slow", max_duration=60)

    def work() -> None:
        with job, app.app_context():
            clock.moment = datetime.fromisoformat(operator.job(job.id)["started_at"])
            clock.advance(seconds=61)
            liveness.sweep()
            while True:
                job.progress(50)
                time.sleep(0.01)

    with pytest.raises(JobTimedOut):
        work()
    board_job = operator.job(job.id)
    assert (board_job["status"], board_job["failure_reason"]) == ("failed", "timed_out")


def test_a_job_enqueued_here_is_done_there(runner: Client, operator: Operator) -> None:
    waiting = runner.job("generate-report", {"month": "2026-10"}).enqueue()
    assert operator.job(waiting.id)["status"] == "pending"
    with runner.attach(str(waiting.id)) as job:
        assert operator.job(waiting.id)["status"] == "running"
        job.update(result={"pages": 1}, link="https://example.com/log")
    board_job = operator.job(waiting.id)
    assert (board_job["status"], board_job["result"], board_job["link"]) == (
        "completed",
        {"pages": 1},
        "https://example.com/log",
    )


def test_two_that_name_a_job_by_the_same_key_speak_of_one_job(runner: Client, operator: Operator) -> None:
    runner.job("generate-report", {"month": "2026-10"}, key="task-1").enqueue()
    with runner.job("generate-report", {"month": "2026-10"}, key="task-1"):
        pass
    assert [job["status"] for job in operator.jobs] == ["completed"]


def test_a_job_knows_the_job_that_began_it(runner: Client, operator: Operator) -> None:
    with runner.job("all") as whole, runner.job("part", parent=whole) as part:
        assert operator.job(part.id)["parent_id"] == whole.id


def test_whatever_a_job_holds_is_told(runner: Client, operator: Operator) -> None:
    class Customer:
        pass

    payload: dict[str, Any] = {
        "amount": Decimal("1.50"),
        "path": Path("a/b"),
        "customer": Customer(),
        "no number": float("nan"),
        "zero": "a\0b",
        "half a letter": "\ud800",
        "days": (date(2026, 11, 24), {1: True}),
    }
    with runner.job("odd", payload) as job:
        job.progress(150, message="a\0b" + "x" * 600)
        job.result = {"size": 10**400, "deep": [[[payload]]]}
    board_job = operator.job(job.id)
    assert board_job["payload"] == {
        "amount": "1.50",
        "path": "a/b",
        "customer": "<Customer>",
        "no number": "nan",
        "zero": "a�b",
        "half a letter": "?",
        "days": ["2026-11-24", {"1": True}],
    }
    assert board_job["status"] == "completed"
    assert board_job["result"]["deep"] == [[[board_job["payload"]]]]
    assert board_job["message"].startswith("a�bxxx")


def test_a_result_that_the_board_refuses_does_not_cost_the_end(
    runner: Client, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    with runner.job("large") as job:
        job.result = {"text": "x" * 300_000}
    board_job = operator.job(job.id)
    assert (board_job["status"], board_job["result"]) == ("completed", None)
    assert "/result" in caplog.text


def test_ten_thousand_calls_are_a_few_requests_and_the_last_one_counts(environ: dict[str, str]) -> None:
    with Client() as usual:
        requests = record_requests(usual)
        with usual.job("loop") as job:
            for number in range(10_000):
                job.progress(number / 100, message=f"row {number}")
                if number % 100 == 0:
                    time.sleep(0.02)
            wait_until(lambda: usual.get_job_status(str(job.id)).message == "row 9999")
        assert usual.get_job_status(str(job.id)).progress == 100
    assert len([path for path in requests if "PATCH" in path]) < 24


def record_requests(client: Client) -> list[str]:
    """Return the list of the requests that a client makes from here on."""
    assert client._transport
    real, requests = client._transport.request, list[str]()

    def request(method: str, path: str, *rest: Any, **more: Any) -> Any:
        requests.append(f"{method} {path}")
        return real(method, path, *rest, **more)

    client._transport.request = request  # type: ignore[method-assign]
    return requests


def test_jobs_at_once_share_requests(environ: dict[str, str], operator: Operator) -> None:
    with Client() as usual:
        requests = record_requests(usual)
        ready = threading.Barrier(20)

        def work(number: int) -> None:
            with usual.job("part", {"number": number}) as job:
                ready.wait()
                for percent in range(100):
                    job.progress(percent, message=f"{number} at {percent}")
                    time.sleep(0.005)
                ready.wait()

        with ThreadPoolExecutor(20) as pool:
            list(pool.map(work, range(20)))
    assert {job["status"] for job in operator.jobs} == {"completed"}
    assert len(operator.jobs) == 20
    # 20 creations, and of 2,000 reports, 20 starts and 20 ends a few batches.
    assert len(requests) < 20 + 60


# --- a function --------------------------------------------------------------------------------------------------


def test_a_tracked_function_is_a_job_at_each_call(runner: Client, operator: Operator) -> None:
    @runner.track(tags=["monthly"])
    def generate_report(month: str) -> dict[str, str]:
        current_job().progress(50, message=month)
        return {"month": month}

    @runner.track("refuse")
    def refuse() -> None:
        raise PermissionError("no")

    assert generate_report("2026-10") == {"month": "2026-10"}
    with pytest.raises(PermissionError):
        refuse()
    failed, completed = operator.jobs
    assert (failed["type"], failed["status"]) == ("refuse", "failed")
    assert (completed["type"], completed["tags"], completed["message"]) == ("generate_report", ["monthly"], "2026-10")
    assert operator.job(completed["id"])["result"] == {"month": "2026-10"}
    # Elsewhere it tells nobody.
    current_job().progress(10)
    assert len(operator.jobs) == 2


# --- asyncio -----------------------------------------------------------------------------------------------------


def test_the_same_with_async(environ: dict[str, str], operator: Operator) -> None:
    async def work() -> None:
        async with AsyncClient(interval=0.05) as client:

            @client.track()
            async def tracked() -> dict[str, int]:
                await asyncio.sleep(0)
                current_job().progress(10)
                return {"n": 1}

            async with client.job("first") as job:
                job.progress(40)
                assert current_job() is job
                assert await tracked() == {"n": 1}
            waiting = await client.enqueue_job("second")
            await client.update_job_status(waiting.id, "running")
            assert (await client.get_job_status(waiting.id)).status == "running"
            await client.cancel_job(waiting.id)
            assert [job.type async for job in client.list_jobs()] == ["second", "tracked", "first"]

    run_coroutine(work())
    assert [job["status"] for job in operator.jobs] == ["canceled", "completed", "completed"]


def test_a_task_that_is_canceled_by_its_loop_tells_it(environ: dict[str, str], operator: Operator) -> None:
    async def work() -> None:
        async with AsyncClient() as client, client.job("endless"):
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(work())
        while not await asyncio.to_thread(lambda: [job for job in operator.jobs if job["status"] == "running"]):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_coroutine(main())
    assert operator.newest["status"] == "canceled"
    assert "CancelledError" in operator.newest["message"]


# --- without a board ---------------------------------------------------------------------------------------------


def test_without_an_address_jobs_run_and_nobody_hears(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("CALLBOARD_URL", raising=False)
    with Client(token="cb_x_y") as client:
        assert "CALLBOARD_URL is not set" in caplog.text
        with client.job("generate-report") as job:
            job.progress(10)
            job.log("line")
        assert job.id is None
        with pytest.raises(NotConfigured):
            client.enqueue_job("generate-report")


def test_a_refused_token_costs_a_job_no_time_and_is_told_once(
    environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    begun = time.monotonic()
    with Client(token="cb_wrong_token") as client:
        for _ in range(3):
            with client.job("generate-report") as job:
                job.progress(10)
        assert job.id is None
    assert time.monotonic() - begun < 4
    assert caplog.text.count("The board is unavailable") == 1


def test_a_board_that_stops_during_a_job_misses_nothing(outage: Outage, operator: Operator, token: str) -> None:
    with Client(outage.address, token, interval=0.05) as client:
        with client.job("before") as before:
            before.progress(10)
            wait_until(lambda: operator.job(before.id)["progress"] == 10)
            outage.stop()
            for percent in range(20, 90):
                before.progress(percent, message=f"at {percent}")
            before.log("while nobody listened")
            with client.job("during", {"n": 1}) as during:
                during.progress(50)
                during.result = {"n": 2}
            assert during.id is None
            ended_at = time.time()
        time.sleep(2.5)  # A report that is late says when it happened.
        outage.start()
        wait_until(lambda: len(operator.jobs) == 2 and {job["status"] for job in operator.jobs} == {"completed"})
    second, first = operator.jobs
    assert (first["type"], first["id"], first["message"]) == ("before", before.id, "at 89")
    assert operator.log(before.id) == ["while nobody listened"]
    assert (second["type"], operator.job(second["id"])["result"]) == ("during", {"n": 2})
    for job in (first, second):
        assert operator.history(job["id"]) == ["pending", "running", "completed"]
        assert abs(datetime.fromisoformat(job["completed_at"]).timestamp() - ended_at) < 1
        assert job["created_at"] <= job["started_at"] <= job["completed_at"]


def test_while_the_board_is_away_only_the_first_job_waits_for_it(outage: Outage, token: str) -> None:
    outage.stop()
    with Client(outage.address, token) as client:
        with client.job("first"):
            pass
        begun = time.monotonic()
        for _ in range(50):
            with client.job("next") as job:
                job.progress(10)
        assert time.monotonic() - begun < 1
        client.close(timeout=0)


def test_a_strict_job_raises_what_else_is_only_told_in_the_log(
    environ: dict[str, str], outage: Outage, token: str
) -> None:
    with Client(strict=True) as client, pytest.raises(BoardRefused, match="/type"), client.job(""):
        pytest.fail("It ran.")
    outage.stop()
    with Client(outage.address, token, strict=True) as client:
        with pytest.raises(BoardUnreachable), client.job("first"):
            pytest.fail("It ran.")
        client.close(timeout=0)


def test_what_a_process_could_not_tell_is_told_by_the_next(
    outage: Outage, operator: Operator, program: Program, token: str, tmp_path: Path
) -> None:
    source = f"""
from callboard_client import Client
client = Client({outage.address!r}, {token!r}, spool={str(tmp_path / "spool")!r}, interval=0.05)
with client.job("first") as job:
    print(job.id, flush=True)
    input()
    job.log("while nobody listened")
    job.result = {{"n": 1}}
with client.job("second"):
    pass
print("done", flush=True)
input()
"""
    child = program(source)
    assert child.stdin
    assert child.stdout
    first = child.stdout.readline().strip()
    outage.stop()
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "done\n"
    child.kill()
    child.wait()
    outage.start()
    assert operator.job(first)["status"] == "running"
    with Client(outage.address, token, spool=tmp_path / "spool") as client, client.job("third"):
        pass
    wait_until(lambda: [job["status"] for job in operator.jobs] == ["completed"] * 3)
    assert operator.job(first)["result"] == {"n": 1}
    assert operator.log(first) == ["while nobody listened"]
    assert list((tmp_path / "spool").glob("*/*")) == []


# --- processes ---------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_lost_in_time(
    program: Program, operator: Operator, app: Flask, clock: Clock
) -> None:
    child = program(
        'from callboard_client import Client\nwith Client().job("import", heartbeat_timeout=30):\n    input()\n'
    )
    wait_until(lambda: [job["status"] for job in operator.jobs] == ["running"])
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    wait_until_lost(operator, app, clock)
    board_job = operator.newest
    assert (board_job["status"], board_job["failure_reason"]) == ("failed", "lost")


def test_a_child_of_a_fork_speaks_for_itself(runner: Client, operator: Operator) -> None:
    with runner.job("parent") as job:
        job.progress(10)
        pid = os.fork()
        if pid == 0:  # pragma: no cover - another process
            with runner.job("child") as own:
                own.progress(20)
                job.progress(30, message="said by the child")
                runner.flush()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        wait_until(lambda: operator.job(job.id)["message"] == "said by the child")
    assert sorted((each["type"], each["status"]) for each in operator.jobs) == [
        ("child", "completed"),
        ("parent", "completed"),
    ]


def test_a_program_that_ends_tells_all_it_has_to_tell(program: Program, operator: Operator) -> None:
    source = """
from callboard_client import Client
job = Client().job("last words").start()
job.progress(77, message="and then it ended")
"""
    assert program(source).wait(20) == 0
    assert (operator.newest["progress"], operator.newest["message"]) == (77, "and then it ended")


def test_a_disturbed_client_leaves_the_work_alone(
    runner: Client, operator: Operator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert runner._transport
    real = runner._transport.request

    def request(method: str, path: str, *rest: Any, **more: Any) -> Any:
        if method == "PATCH" and rest[0].get("progress") == 13:
            raise RecursionError("a fault of our own")
        return real(method, path, *rest, **more)

    monkeypatch.setattr(runner._transport, "request", request)
    with caplog.at_level(logging.WARNING), runner.job("generate-report") as job:
        job.progress(13)
        runner.flush()
        job.progress(14)
    assert "a fault of our own" in caplog.text
    assert operator.job(job.id)["status"] == "completed"


def test_the_cast_is_at_home(cast: Cast, operator: Operator) -> None:
    """What these tests see is acme's alone, and begins empty."""
    assert operator.jobs == []
