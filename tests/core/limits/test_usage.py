"""What the runners of a workspace may send in a day: counted in lots, never beyond the limit, whoever counts."""

import uuid
from datetime import timedelta

import pytest
from flask import Flask

from tests.support.clock import Clock
from tests.support.concurrency import refusals_at_once
from tests.support.jobs import RUNNER, job_in
from tests.support.people import Cast
from tests.support.statements import record_statements
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.errors import NotFound
from webapp.core.jobs import logs
from webapp.core.jobs.idempotency import RequestKey
from webapp.core.jobs.inputs import BatchedReport, NewLines
from webapp.core.limits import limits, usage
from webapp.core.limits.limits import LOG_SIZE, PAYLOAD_SIZE, of_workspace
from webapp.core.limits.usage import LOT, MIB, Lots, OverDailyLimit
from webapp.core.models import JobRun, Workspace

PAYLOAD = {"text": "x" * (256 * 1024 - len('{"text":""}'))}
"""The largest there may be: four of them are a MiB."""


@pytest.fixture(autouse=True)
def _no_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a process does that has claimed nothing."""
    monkeypatch.setattr(usage, "of_process", Lots())


@pytest.fixture
def acme(core: Flask, cast: Cast) -> Workspace:
    """A workspace that may send one MiB of payloads and one of log lines a day."""
    for limit in (PAYLOAD_SIZE, LOG_SIZE):
        limits.set_limit(of_workspace(cast.acme.id), limit.name, 1, by=SYSTEM)
    return cast.acme


def enqueue(workspace: Workspace, **content: object) -> uuid.UUID:
    return jobs.enqueue_job("t", workspace.id, **content, by=RUNNER)  # type: ignore[arg-type]


def test_a_payload_over_the_limit_of_a_day_is_refused_until_the_next(acme: Workspace, clock: Clock) -> None:
    for _ in range(4):
        enqueue(acme, payload=PAYLOAD)
    with pytest.raises(OverDailyLimit) as refused:
        enqueue(acme, payload={"a": 1})
    assert str(refused.value) == (
        "This workspace may send 1 MiB of payloads and results a day. The next day begins at 00:00 UTC."
    )
    assert refused.value.retry_after == usage.MAX_RETRY_AFTER
    enqueue(acme)
    clock.moment += timedelta(hours=11, minutes=59, seconds=30)
    with pytest.raises(OverDailyLimit) as refused:
        enqueue(acme, payload={"a": 1})
    assert refused.value.retry_after == 31
    clock.advance(seconds=30)
    enqueue(acme, payload={"a": 1})


def test_a_limit_that_is_raised_holds_at_once(acme: Workspace) -> None:
    for _ in range(4):
        enqueue(acme, payload=PAYLOAD)
    limits.set_limit(of_workspace(acme.id), PAYLOAD_SIZE.name, 2, by=SYSTEM)
    enqueue(acme, payload=PAYLOAD)


def test_one_workspace_takes_nothing_of_another(acme: Workspace, cast: Cast) -> None:
    for _ in range(4):
        enqueue(acme, payload=PAYLOAD)
    limits.set_limit(of_workspace(cast.other.id), PAYLOAD_SIZE.name, 1, by=SYSTEM)
    enqueue(cast.other, payload=PAYLOAD)


def test_results_and_errors_are_taken_in_any_case_and_count(acme: Workspace) -> None:
    one, other = job_in("running", acme), job_in("running", acme)
    for _ in range(4):
        jobs.update_job_status(one.id, result=PAYLOAD, within=acme.id, by=RUNNER)
    jobs.update_job_status(one.id, status="failed", error="x" * 60_000, within=acme.id, by=RUNNER)
    jobs.update_job_status(other.id, status="completed", result=PAYLOAD, within=acme.id, by=RUNNER)
    assert [jobs.get_job_status(job.id).status for job in (one, other)] == ["failed", "completed"]
    with pytest.raises(OverDailyLimit):
        enqueue(acme)


def test_what_a_batch_brings_counts_as_well(acme: Workspace) -> None:
    job = job_in("running", acme)
    reports = [BatchedReport.parse({"id": str(job.id), "result": PAYLOAD})] * 5
    jobs.apply_reports(acme.id, reports, by=RUNNER)
    with pytest.raises(OverDailyLimit):
        enqueue(acme)


def test_log_lines_over_the_limit_of_a_day_are_refused(acme: Workspace) -> None:
    job = job_in("running", acme)
    lines = NewLines.parse({"lines": [{"text": "x" * 8192}] * 64})
    for _ in range(2):
        logs.append(job.id, lines, within=acme.id)
    with pytest.raises(OverDailyLimit):
        logs.append(job.id, NewLines.parse({"lines": [{"text": "one more"}]}), within=acme.id)
    enqueue(acme, payload=PAYLOAD)
    assert logs.get_last_seq(jobs.get_job_status(job.id)) == 128


def test_what_is_not_stored_is_not_counted(acme: Workspace) -> None:
    for _ in range(8):
        with pytest.raises(NotFound):
            logs.append(uuid.uuid4(), NewLines.parse({"lines": [{"text": "x" * 16000}] * 60}), within=acme.id)
    missing = Workspace(id=uuid.uuid4())
    with pytest.raises(NotFound):
        enqueue(missing, payload=PAYLOAD)
    for _ in range(4):
        enqueue(acme, payload=PAYLOAD)


def test_many_small_payloads_cost_a_statement_for_each_lot_and_not_for_each_job(acme: Workspace) -> None:
    enqueue(acme, payload={"a": 1})
    with record_statements() as statements:
        for _ in range(20):
            enqueue(acme, payload={"a": 1})
    assert not [statement for statement in statements if "daily_usage" in statement or "limits" in statement]
    assert usage.get_today(acme.id, PAYLOAD_SIZE) == LOT == MIB


def test_processes_that_count_for_themselves_never_go_over_the_limit_together(core: Flask, acme: Workspace) -> None:
    limits.set_limit(of_workspace(acme.id), PAYLOAD_SIZE.name, 3, by=SYSTEM)

    def send() -> None:
        lots = Lots()
        for _ in range(4):
            lots.claim(acme.id, PAYLOAD_SIZE, MIB // 4)

    refusals = refusals_at_once(core, *[send] * 8)
    assert sum(refusal is None for refusal in refusals) == 3
    assert usage.get_today(acme.id, PAYLOAD_SIZE) == 3 * MIB


def test_threads_of_one_process_share_a_lot(core: Flask, acme: Workspace) -> None:
    refusals = refusals_at_once(core, *[lambda: usage.of_process.claim(acme.id, PAYLOAD_SIZE, MIB // 8)] * 12)
    assert sum(refusal is None for refusal in refusals) == 8


def test_days_that_are_long_past_are_forgotten(acme: Workspace, clock: Clock) -> None:
    enqueue(acme, payload={"a": 1})
    clock.advance(days=31)
    assert usage.delete_old() == 0
    clock.advance(days=1)
    assert usage.delete_old() == 1


def test_a_job_without_a_workspace_has_no_limit(core: Flask) -> None:
    job_id = jobs.enqueue_job("t", None, payload={"a": 1})
    assert db.session.get(JobRun, job_id)


def test_a_replayed_append_needs_no_room_of_its_own_beyond_its_size(acme: Workspace) -> None:
    job = job_in("running", acme)
    lines = NewLines.parse({"lines": [{"text": "x" * 100}]})
    key = RequestKey("k", "digest")
    first = logs.append(job.id, lines, within=acme.id, request_key=key)
    assert logs.append(job.id, lines, within=acme.id, request_key=key) == (first.next_after, True)
