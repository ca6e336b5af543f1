"""``callboard_client.testing``: a user's own tests say what a job reported, without a board."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from callboard_client import (
    AsyncClient,
    BoardRefused,
    Client,
    JobCanceled,
    JobConflict,
    JobNotFound,
    JobStopped,
    NotConfigured,
    current_job,
)
from callboard_client.integrations.futures import TrackedExecutor
from callboard_client.integrations.huey import connect
from callboard_client.testing import LogLine, Recorder, record_jobs
from huey import MemoryHuey

from tests.support.waiting import run_coroutine


@pytest.fixture(autouse=True)
def no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a laptop: nothing says where a board is."""
    for name in ("CALLBOARD_URL", "CALLBOARD_TOKEN", "CALLBOARD_SPOOL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def recorder() -> Any:
    with record_jobs() as recorder:
        yield recorder


def test_a_block_is_recorded_with_everything_it_reported(recorder: Recorder) -> None:
    with recorder.client.job("generate-report", {"month": "2026-10"}, tags=["monthly"], key="report-10") as job:
        for page in range(1, 5):
            job.progress(page * 25, message=f"page {page} of 4")
        job.log("first line\nsecond line", level="warn")
        job.update(link="https://example.com/report")
        job.result = {"pages": 4}
    recorded = recorder.get_job()
    assert recorder.jobs == [recorded]
    assert (recorded.type, recorded.payload, recorded.key) == ("generate-report", {"month": "2026-10"}, "report-10")
    assert (recorded.tags, recorded.heartbeat_timeout, recorded.id) == (("monthly",), 60, job.id)
    assert recorded.statuses == ["pending", "running", "completed"]
    assert recorded.progress_reports == [25, 50, 75, 100]
    assert recorded.messages == [f"page {page} of 4" for page in range(1, 5)]
    assert recorded.log == [LogLine("first line", "warning"), LogLine("second line", "warning")]
    assert (recorded.result, recorded.link, recorded.error) == ({"pages": 4}, "https://example.com/report", None)


def test_names_are_recorded_as_the_board_keeps_them(recorder: Recorder) -> None:
    job_id = recorder.client.enqueue_job(" import\n", tags=["\u00a0nightly", "nightly "]).id
    recorder.client.update_job_status(job_id, status="running", runner="\thost ")
    recorded = recorder.get_job()
    assert (recorded.type, recorded.tags, recorded.runner) == ("import", ("nightly",), "host")


@pytest.mark.parametrize("name", [" ", "\u200b", "a\nb", "a\x1b[31mb", "a\u2028b"])
def test_a_name_that_the_board_refuses_is_refused_by_the_recorder(recorder: Recorder, name: str) -> None:
    for names in ({"type": name}, {"type": "import", "tags": [name]}):
        with pytest.raises(BoardRefused) as refused:
            recorder.client.enqueue_job(**names)
        assert refused.value.status == 422
    assert recorder.jobs == []


def test_a_failed_job_is_recorded_with_its_traceback(recorder: Recorder) -> None:
    with pytest.raises(ZeroDivisionError), recorder.client.job("divide"):
        divmod(1, 0)
    recorded = recorder.get_job("divide")
    assert recorded.status == "failed"
    assert recorded.error is not None
    assert recorded.error.strip().endswith("ZeroDivisionError: integer division or modulo by zero")


def test_values_are_recorded_as_a_board_would_get_them(recorder: Recorder) -> None:
    with recorder.client.job("odd", {"amount": Decimal("1.50")}) as job:
        job.progress(150, message="x" * 600)
        job.result = [1, 2]
    recorded = recorder.get_job()
    assert (recorded.payload, recorded.result) == ({"amount": "1.50"}, {"value": [1, 2]})
    assert (recorded.progress_reports, recorded.message) == ([100], "x" * 500)


def test_a_client_that_exists_already_is_recorded_in_the_block_alone() -> None:
    client = Client()

    @client.track(tags=["monthly"])
    def generate_report(month: str) -> dict[str, str]:
        current_job().progress(50, message=month)
        return {"month": month}

    with record_jobs(client) as recorder:
        assert generate_report("2026-10") == {"month": "2026-10"}
        with client:
            client.flush()
        generate_report("2026-11")
    first, second = recorder.jobs
    assert (first.type, first.status, first.result) == ("generate_report", "completed", {"month": "2026-10"})
    assert (second.message, second.tags) == ("2026-11", ("monthly",))
    generate_report("2026-12")
    assert len(recorder.jobs) == 2
    with pytest.raises(NotConfigured):
        client.enqueue_job("generate-report")


def test_work_learns_at_its_next_report_that_a_test_canceled_it(recorder: Recorder) -> None:
    recorder.cancel_when(lambda job: job.progress >= 50)
    stops: list[JobStopped] = []

    def work() -> None:
        with recorder.client.job("endless") as job:
            job.on_stop(stops.append)
            for percent in range(0, 100, 10):
                job.progress(percent)

    with pytest.raises(JobCanceled):
        work()
    recorded = recorder.get_job()
    assert recorded.statuses == ["pending", "running", "canceled"]
    assert recorded.progress_reports == [0, 10, 20, 30, 40, 50]
    assert recorded.stop_reported
    assert [stop.job.id for stop in stops] == [recorded.id]


def test_a_job_that_a_test_cancels_knows_it_at_once(recorder: Recorder) -> None:
    stops: list[JobStopped] = []
    job = recorder.client.job("endless").start()
    job.on_stop(stops.append)
    job.raise_if_stopped()
    assert not job.stop_requested
    recorder.get_job().cancel()
    assert job.stop_requested
    assert len(stops) == 1
    with pytest.raises(JobCanceled):
        job.raise_if_stopped()
    assert not recorder.get_job().stop_reported
    job.report_stopped("cleaned up")
    assert (recorder.get_job().stop_reported, recorder.get_job().message) == (True, "cleaned up")


def test_a_job_that_was_canceled_before_its_turn_does_not_run(recorder: Recorder) -> None:
    recorder.cancel_when(lambda job: job.status == "pending")
    with pytest.raises(JobCanceled), recorder.client.job("late"):
        pytest.fail("It ran.")
    assert recorder.get_job().statuses == ["pending", "canceled"]


def test_work_that_ignores_a_cancel_is_recorded_as_finished_anyway(recorder: Recorder) -> None:
    with recorder.client.job("deaf"):
        recorder.get_job().cancel()
    recorded = recorder.get_job()
    assert (recorded.status, recorded.refused_status, recorded.stop_reported) == ("canceled", "completed", False)


def test_both_halves_of_a_job_are_one_recorded_job(recorder: Recorder) -> None:
    job_id = recorder.client.enqueue_job("generate-report", {"month": "2026-10"}).id
    assert recorder.get_job().status == "pending"
    with recorder.client.attach(job_id) as job:
        job.progress(50)
    assert recorder.get_job().statuses == ["pending", "running", "completed"]
    for _ in range(2):
        recorder.client.job("import", key="order-17").enqueue()
    with recorder.client.job("import", key="order-17"), recorder.client.job("part", parent=job):
        pass
    assert recorder.get_job("import").statuses == ["pending", "running", "completed"]
    assert recorder.get_job("part").parent_id == job_id


def test_the_verbs_answer_from_what_was_recorded(recorder: Recorder) -> None:
    client = recorder.client
    job = client.enqueue_job("generate-report", tags=["monthly"], key="report-10")
    assert client.enqueue_job("generate-report", tags=["monthly"], key="report-10").id == job.id
    with pytest.raises(JobConflict, match="report status running first"):
        client.update_job_status(job.id, "completed")
    assert client.update_job_status(job.id, "running", progress=40).progress == 40
    client.job("other").enqueue()
    assert [each.type for each in client.list_jobs()] == ["other", "generate-report"]
    assert [each.id for each in client.list_jobs(status=["running"], tag="monthly")] == [job.id]
    assert client.count_jobs()["pending"] == {"count": 1, "capped": False}
    assert client.cancel_job(job.id).status == "canceled"
    with pytest.raises(JobCanceled):
        client.update_job_status(job.id, progress=50)
    assert client.get_job_status(job.id).status == "canceled"
    assert [event["to"] for event in client.list_events(job.id)] == ["pending", "running", "canceled"]
    with pytest.raises(JobNotFound):
        client.get_job_status("0193a000-0000-7000-8000-000000000001")
    with client.job("quick") as quick:
        quick.log("a line")
    assert client.list_log_lines(str(quick.id))[0][0]["text"] == "a line"
    with pytest.raises(JobConflict, match="already completed"):
        client.cancel_job(str(quick.id))


def test_a_test_that_expects_another_job_is_told_what_was_recorded(recorder: Recorder) -> None:
    with pytest.raises(AssertionError, match="Recorded jobs: none"):
        recorder.get_job()
    for _ in range(2):
        with recorder.client.job("import"):
            pass
    with pytest.raises(AssertionError, match=r"Expected one job of type 'export', not 0. .*import \(completed\)"):
        recorder.get_job("export")
    with pytest.raises(AssertionError, match="Expected one job of type 'import', not 2"):
        recorder.get_job("import")


def test_jobs_of_many_threads_are_all_recorded(recorder: Recorder) -> None:
    ready = threading.Barrier(8)

    def work(number: int) -> None:
        with recorder.client.job("part", {"number": number}) as job:
            ready.wait()
            for percent in range(50):
                job.progress(percent)
                job.log(f"at {percent}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(recorder.jobs) == 8
    for job in recorder.jobs:
        assert (job.status, job.progress_reports) == ("completed", list(range(50)))
        assert [line.text for line in job.log] == [f"at {percent}" for percent in range(50)]


def test_a_callback_of_a_stop_may_wait_for_work_that_reports(recorder: Recorder) -> None:
    job = recorder.client.job("endless").start()
    stopped = threading.Event()

    def work() -> None:
        while not job.stop_requested:
            job.log("working")
        job.report_stopped()
        stopped.set()

    worker = threading.Thread(target=work)
    job.on_stop(lambda _: worker.join(20))
    worker.start()
    recorder.get_job().cancel()
    assert stopped.is_set()
    assert recorder.get_job().stop_reported


def test_coroutines_are_recorded(recorder: Recorder) -> None:
    client = AsyncClient()

    @client.track()
    async def double(number: int) -> dict[str, int]:
        await asyncio.sleep(0)
        current_job().progress(50)
        return {"number": number * 2}

    async def work() -> None:
        assert await double(2) == {"number": 4}
        job = await client.enqueue_job("later")
        assert (await client.cancel_job(job.id)).status == "canceled"
        async with client.job("block") as block:
            block.progress(10)

    with record_jobs(client) as recorder:
        run_coroutine(work())
    assert [(job.type, job.status) for job in recorder.jobs] == [
        ("double", "completed"),
        ("later", "canceled"),
        ("block", "completed"),
    ]


def test_a_strict_client_is_recorded_as_any_other() -> None:
    strict = Client("http://127.0.0.1:9", "cb_a_b", strict=True)
    with record_jobs(strict) as recorder, strict.job("strict") as job:
        job.progress(10)
    assert recorder.get_job("strict").status == "completed"


def test_tasks_of_an_engine_are_recorded(recorder: Recorder) -> None:
    huey = MemoryHuey(immediate=True)
    connect(huey, recorder.client, tags=["huey"])

    @huey.task()
    def generate_report(month: str) -> dict[str, int]:
        current_job().progress(40, message=month)
        return {"pages": 10}

    generate_report("2026-10")
    job = recorder.get_job("generate_report")
    assert (job.statuses, job.result, job.tags) == (["pending", "running", "completed"], {"pages": 10}, ("huey",))
    with TrackedExecutor(ThreadPoolExecutor(1), recorder.client) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
    job = recorder.get_job("divmod")
    assert (job.status, job.payload) == ("completed", {"args": [7, 2], "kwargs": {}})
