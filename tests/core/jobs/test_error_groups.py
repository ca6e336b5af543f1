"""Which failures are the same: what is left of an error, and the mark that a job keeps of it from then on."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.jobs import RUNNER, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.database.session import db
from webapp.core.jobs import PastJob, error_groups
from webapp.core.jobs.error_groups import make_pattern
from webapp.core.jobs.inputs import BatchedReport
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JOB_FIELDS, JobRun

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/tasks/stock.py", line 41, in run
    handle(item)
    ~~~~~~^^^^^^
KeyError: 'SKU-4711'
Stock of yesterday
"""


@pytest.mark.parametrize(
    ("error", "left"),
    [
        ("boom", "boom"),
        ("\n  \n  no   room \nat all", "no room"),
        ("Timed out after 30.5 s, attempt 3 of 5", "Timed out after … s, attempt … of …"),
        ("row -17: 1,024 of 2026-11-24", "row …: … of …"),
        ("at 2026-11-24T09:12:11.123Z: late", "at …: late"),
        ("order 7d793037-a076-4d6e-8d5b-0d4e7a5b6c7d is gone", "order … is gone"),
        ("worker at 0x7f8fa3bc12 in session 8fa3bc12", "worker at … in session …"),
        (
            "CardDeclined: charge ch_3NffrFeUfNV2Hib of order 4711: insufficient funds",
            "CardDeclined: charge ch_… of order …: insufficient funds",
        ),
        ("KeyError: 'SKU-4711'", "KeyError: '…'"),
        ('no "month" in `figures`', 'no "…" in `…`'),
        ("can't read it, it isn't 'there'", "can't read it, it isn't '…'"),
        ("'don't' or \"it's\", f('a', 'b')", "'…' or \"…\", f('…', '…')"),
        ("no such file /srv/exports/part-12.csv", "no such file …"),
        ("cannot open C:\\exports\\part 12", "cannot open …"),
        ("GET https://shop.example.com/orders/12 failed: status code 502", "GET … failed: status code 502"),
        ("<customer12@example.com> is unknown", "<…> is unknown"),
        ("and/or either, decade, deface", "and/or either, decade, deface"),
        # What says which error it was stays.
        ("HTTP 502: status code 404, exit code 137", "HTTP 502: status code 404, exit code 137"),
        ("[Errno 28] No space left on device: '/backup/1'", "[Errno 28] No space left on device: '…'"),
        (TRACEBACK, "KeyError: '…'"),
        (
            f"{TRACEBACK}\nDuring handling of the above:\n\n{TRACEBACK.replace('KeyError', 'StockError')}",
            "StockError: '…'",
        ),
        ('  File "cut off', 'File "cut off'),
        ("", ""),
        (None, ""),
    ],
)
def test_what_differs_from_run_to_run_is_gone_from_the_line_that_tells_most(error: str | None, left: str) -> None:
    assert make_pattern(error) == left


def test_a_line_counts_as_far_as_its_first_characters_whatever_was_gone_from_it() -> None:
    long, longer = (f"'{'x' * count}' {'word ' * 200}" for count in (10, 40))
    assert make_pattern(long) == make_pattern(longer)
    assert len(make_pattern(long)) == error_groups.PATTERN_LIMIT


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", ["a.", "1-", "a@", '"', "'a", "/a", "a", "0", " ", "\n", '  File "\n', "…", ' "a"a'])
def test_no_error_is_read_for_ever(piece: str) -> None:
    make_pattern(piece * (64 * 1024 // len(piece)))


def test_jobs_are_alike_by_type_and_pattern() -> None:
    assert error_groups.make_fingerprint("a", "boom 1") == error_groups.make_fingerprint("a", "boom 2")
    assert error_groups.make_fingerprint("a", "boom") != error_groups.make_fingerprint("b", "boom")
    assert error_groups.make_fingerprint("a", "boom") != error_groups.make_fingerprint("a", None)
    assert error_groups.FINGERPRINT.fullmatch(error_groups.make_fingerprint("a", None))


# --- the mark that a job keeps -----------------------------------------------------------------------------------


def mark_of(job_id: object) -> str | None:
    return db.session.scalar(sa.select(JobRun.error_group).where(JobRun.id == job_id))


def test_whoever_fails_a_job_leaves_its_mark(core: Flask, cast: Cast, clock: Clock) -> None:
    reported, batched = job_in("running", cast.acme), job_in("running", cast.acme)
    jobs.update_job_status(reported.id, status="failed", error="boom 1", by=RUNNER)
    report = BatchedReport.parse({"id": str(batched.id), "status": "failed", "error": "boom 2"})
    jobs.apply_reports(cast.acme.id, [report], by=RUNNER)
    past = PastJob(
        type="generate-report",
        status=JobStatus.FAILED,
        created_at=clock.now() - timedelta(hours=1),
        ended_at=clock.now(),
        error="boom 3",
    )
    jobs.record_past(cast.acme.id, [past])
    marks = db.session.scalars(sa.select(JobRun.error_group)).all()
    assert marks == [error_groups.make_fingerprint("generate-report", "boom 4")] * 3
    timed_out = job_in("timed_out", cast.acme)
    assert mark_of(timed_out.id) == error_groups.make_fingerprint("generate-report", timed_out.error)


def test_a_job_that_fails_without_an_error_is_marked_as_well(core: Flask, cast: Cast) -> None:
    assert mark_of(job_in("failed", cast.acme).id) == error_groups.make_fingerprint("generate-report", None)


def test_a_lost_job_that_runs_on_has_no_mark_any_more(core: Flask, cast: Cast) -> None:
    job_id = job_in("lost", cast.acme).id
    assert mark_of(job_id)
    jobs.update_job_status(job_id, progress=5, by=RUNNER)
    assert mark_of(job_id) is None


@pytest.mark.parametrize("state", ["pending", "running", "completed", "canceled"])
def test_no_other_job_has_one(core: Flask, cast: Cast, state: str) -> None:
    assert mark_of(job_in(state, cast.acme).id) is None


def test_runners_do_not_see_it() -> None:
    assert "error_group" not in JOB_FIELDS
