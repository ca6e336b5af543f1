"""The overview of a workspace: what is counted where, how long jobs took, what failed alike, and what runs longest."""

import uuid
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.jobs import RUNNER, fill, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.database.session import db
from webapp.core.database.transactions import IN_A_TRANSACTION
from webapp.core.jobs import PastJob, listing
from webapp.core.jobs.listing import JobFilter
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun, Workspace
from webapp.core.stats import overview
from webapp.core.stats.overview import Overview, Range

COMPLETED, FAILED, CANCELED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELED


@pytest.fixture
def cast(clock: Clock, core: Flask, cast: Cast) -> Cast:
    """The clock is set before anything is written."""
    return cast


def ran(
    clock: Clock,
    workspace: Workspace,
    status: JobStatus = COMPLETED,
    *,
    ago: timedelta = timedelta(0),
    seconds: float = 1,
    type: str = "report",
    error: str | None = None,
) -> None:
    """A job that ended so long ago, after so many seconds."""
    ended = clock.now() - ago
    started = ended - timedelta(seconds=seconds)
    past = PastJob(type=type, status=status, created_at=started, started_at=started, ended_at=ended, error=error)
    jobs.record_past(workspace.id, [past])


def read(cast: Cast, span: Range = Range.HOUR) -> Overview:
    return overview.get_overview(cast.acme.id, span)


def behind(cast: Cast, numbers: Overview, mark: str) -> list[uuid.UUID]:
    """The jobs that the link of a group leads to."""
    filters = JobFilter(statuses=(FAILED,), error_group=mark, failed_since=numbers.failures.since)
    return [job.id for job in listing.list_jobs(cast.acme.id, filters, limit=50).jobs]


# --- counts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "first", "count"),
    [(Range.HOUR, "11:07", 60), (Range.DAY, "12:30", 48), (Range.WEEK, "15:00", 56)],
)
def test_buckets_begin_at_whole_times_and_the_last_one_is_under_way(
    clock: Clock, cast: Cast, span: Range, first: str, count: int
) -> None:
    clock.advance(minutes=6, seconds=30)
    starts = [bucket.since for bucket in read(cast, span).buckets]
    assert len(starts) == count
    assert f"{starts[0]:%H:%M}" == first
    assert starts[-1] <= clock.now() < starts[-1] + span.width
    assert {after - before for before, after in pairwise(starts)} == {span.width}


@pytest.mark.parametrize("status", [COMPLETED, FAILED, CANCELED])
def test_a_job_counts_where_it_ended_and_a_bucket_ends_where_the_next_begins(
    clock: Clock, cast: Cast, status: JobStatus
) -> None:
    instant = timedelta(microseconds=1)
    clock.advance(seconds=30)
    begins = clock.now() - timedelta(seconds=30)
    for ago in (timedelta(0), timedelta(seconds=30), timedelta(seconds=30) + instant):
        ran(clock, cast.acme, status, ago=ago)
    oldest = clock.now() - begins + timedelta(minutes=59)
    ran(clock, cast.acme, status, ago=oldest)
    ran(clock, cast.acme, status, ago=oldest + instant)
    buckets = read(cast).buckets
    assert [bucket.ended[status] for bucket in (buckets[0], buckets[-2], buckets[-1])] == [1, 1, 2]
    assert read(cast).ended == {COMPLETED: 0, FAILED: 0, CANCELED: 0} | {status: 4}


def test_what_is_alive_and_what_another_workspace_has_counts_nowhere(clock: Clock, cast: Cast) -> None:
    for state in ("pending", "running"):
        job_in(state, cast.acme)
    for status in (COMPLETED, FAILED, CANCELED):
        ran(clock, cast.other, status, error="boom" if status is FAILED else None)
    job_in("running", cast.other)
    numbers = read(cast, Range.WEEK)
    assert set(numbers.ended.values()) == {0}
    assert not numbers.durations.types
    assert not numbers.failures.groups
    assert [job.workspace_id for job in numbers.longest] == [cast.acme.id]


def test_a_lost_job_counts_as_failed_until_its_runner_speaks_again(clock: Clock, cast: Cast) -> None:
    job_id = job_in("lost", cast.acme).id
    assert read(cast).ended[FAILED] == 1
    jobs.update_job_status(job_id, progress=5, by=RUNNER)
    assert read(cast).ended[FAILED] == 0
    assert read(cast).failures.groups == []


# --- durations ---------------------------------------------------------------------------------------------------


def test_half_the_jobs_of_a_type_took_at_most_its_median_and_95_of_100_its_p95(clock: Clock, cast: Cast) -> None:
    for seconds in range(100, 0, -1):
        ran(clock, cast.acme, seconds=seconds)
    for span in (0.25, 3, 8):
        ran(clock, cast.acme, seconds=span, type="mail")
    ran(clock, cast.acme, FAILED, seconds=500)
    ran(clock, cast.acme, seconds=500, ago=timedelta(hours=2))
    durations = [(each.type, each.jobs, each.median, each.p95) for each in read(cast).durations.types]
    assert durations == [
        ("report", 100, timedelta(seconds=50), timedelta(seconds=95)),
        ("mail", 3, timedelta(seconds=3), timedelta(seconds=8)),
    ]


def test_a_duration_of_one_job_is_told_to_the_millisecond(clock: Clock, cast: Cast) -> None:
    ran(clock, cast.acme, seconds=0.25)
    [duration] = read(cast).durations.types
    assert duration.median == duration.p95 == timedelta(milliseconds=250)


def test_of_many_jobs_the_newest_tell_how_long_they_took_and_that_is_said(
    clock: Clock, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SAMPLE_SIZE", 3)
    for minutes in (1, 2, 3):
        ran(clock, cast.acme, ago=timedelta(minutes=minutes), seconds=minutes)
    assert not read(cast).durations_are_capped
    ran(clock, cast.acme, ago=timedelta(minutes=4), seconds=4)
    numbers = read(cast)
    assert numbers.durations_are_capped
    assert numbers.durations.jobs == 3
    assert numbers.durations.types[0].p95 == timedelta(seconds=3)
    assert numbers.ended[COMPLETED] == 4


def test_the_types_with_most_jobs_are_told_and_the_others_counted(
    clock: Clock, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "TYPES_SHOWN", 2)
    for type in ("c", "b", "b", "a", "d"):
        ran(clock, cast.acme, type=type)
    durations = read(cast).durations
    assert [each.type for each in durations.types] == ["b", "a"]
    assert (durations.jobs, durations.more_types) == (5, 2)


# --- failures ----------------------------------------------------------------------------------------------------


def test_failures_are_grouped_by_type_and_by_what_their_errors_say(clock: Clock, cast: Cast) -> None:
    for minutes in (30, 20, 10):
        ran(clock, cast.acme, FAILED, ago=timedelta(minutes=minutes), error=f"no room for {minutes}")
    ran(clock, cast.acme, FAILED, error="no room for 1", type="mail")
    ran(clock, cast.acme, FAILED, ago=timedelta(minutes=1), error=None)
    ran(clock, cast.acme, FAILED, ago=timedelta(hours=2), error="no room for 2")
    numbers = read(cast)
    assert [(group.type, group.pattern, group.jobs) for group in numbers.failures.groups] == [
        ("report", "no room for …", 3),
        ("mail", "no room for …", 1),
        ("report", "", 1),
    ]
    first = numbers.failures.groups[0]
    assert (first.first, first.last) == (clock.now() - timedelta(minutes=30), clock.now() - timedelta(minutes=10))
    assert (numbers.failures.jobs, numbers.failures.more_jobs, numbers.failures_are_capped) == (5, 0, False)


def test_a_group_leads_to_exactly_its_jobs(clock: Clock, cast: Cast) -> None:
    for number in range(6):
        ran(clock, cast.acme, FAILED, ago=timedelta(minutes=number), error=f"bo{'o' * (number % 2)}m {number}")
    ran(clock, cast.acme, FAILED, ago=timedelta(hours=2), error="bom 9")
    numbers = read(cast)
    for group in numbers.failures.groups:
        listed = behind(cast, numbers, group.fingerprint)
        assert len(listed) == group.jobs == 3
        errors = db.session.scalars(sa.select(JobRun.error).where(JobRun.id.in_(listed)))
        assert {str(error).split()[0] for error in errors} == {group.pattern.split()[0]}
        filters = JobFilter(error_group=group.fingerprint, failed_since=numbers.failures.since)
        counted = listing.count_by_status(cast.acme.id, filters)
        assert {status: count.count for status, count in counted.items() if count.count} == {FAILED: 3}
        assert JobFilter(error_group=group.fingerprint).only_failed


def test_of_many_failures_the_newest_are_grouped_and_the_link_begins_where_they_do(
    clock: Clock, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SAMPLE_SIZE", 4)
    # Jobs that failed in one batch did so at one moment: all of them are in, or none.
    for minutes in (1, 2, 2, 3):
        ran(clock, cast.acme, FAILED, ago=timedelta(minutes=minutes), error="boom")
    assert not read(cast).failures_are_capped
    for number in range(2):
        ran(clock, cast.acme, FAILED, ago=timedelta(minutes=3), error=f"boom {number}")
    numbers = read(cast)
    [group] = numbers.failures.groups
    assert numbers.failures_are_capped
    assert numbers.failures.jobs == group.jobs == len(behind(cast, numbers, group.fingerprint)) == 3
    assert numbers.ended[FAILED] == 6


def test_more_failures_at_one_moment_than_are_looked_at_are_told_as_they_are(
    clock: Clock, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SAMPLE_SIZE", 2)
    for _ in range(4):
        ran(clock, cast.acme, FAILED, error="boom")
    numbers = read(cast)
    assert numbers.failures.jobs == len(behind(cast, numbers, numbers.failures.groups[0].fingerprint)) == 4


def test_the_largest_groups_are_told_and_the_others_counted(
    clock: Clock, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "GROUPS_SHOWN", 1)
    for error in ("a", "b", "b", "c"):
        ran(clock, cast.acme, FAILED, error=error)
    failures = read(cast).failures
    assert [group.pattern for group in failures.groups] == ["b"]
    assert (failures.jobs, failures.more_jobs, failures.more_groups) == (4, 2, 2)


def test_nobody_sees_what_the_errors_of_another_workspace_say(clock: Clock, cast: Cast) -> None:
    ran(clock, cast.other, FAILED, error="their secret")
    mark = db.session.scalar(sa.select(JobRun.error_group))
    assert mark
    assert listing.groups_by_fingerprint(cast.acme.id, [mark]) == {}
    assert listing.groups_by_fingerprint(cast.other.id, [mark]) == {mark: ("report", "their secret")}


# --- what runs longest, and what it costs ------------------------------------------------------------------------


def test_what_runs_longest_stands_first(clock: Clock, cast: Cast) -> None:
    ids = []
    for _ in range(12):
        ids.append(job_in("running", cast.acme).id)
        clock.advance(seconds=1)
    assert [job.id for job in read(cast).longest] == ids[:10]


def test_equal_overviews_have_equal_marks_and_news_changes_them(clock: Clock, cast: Cast) -> None:
    job_id = job_in("running", cast.acme).id
    seen = [read(cast).versions]
    assert read(cast).versions == seen[0]

    def changed() -> bool:
        seen.append(read(cast).versions)
        return seen[-1] not in seen[:-1]

    jobs.update_job_status(job_id, progress=5, by=RUNNER)
    assert changed()
    jobs.update_job_status(job_id, status="failed", error="boom", by=RUNNER)
    assert changed()
    clock.advance(minutes=1)
    assert changed()


def test_every_figure_is_read_from_an_index_alone(
    clock: Clock, cast: Cast, engine_name: str, request: pytest.FixtureRequest
) -> None:
    fill(cast.acme)
    starts = Range.HOUR.buckets(clock.now())
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    overview._count_buckets(cast.acme.id, starts, Range.HOUR.width)
    overview._read_durations(cast.acme.id, starts[0])
    overview._group_failures(cast.acme.id, starts[0])
    sa.event.remove(db.engine, "before_cursor_execute", note)
    connection = db.engine.execution_options(**IN_A_TRANSACTION[engine_name]).connect()
    request.addfinalizer(connection.close)
    looked = [(statement, parameters) for statement, parameters in statements if "job_runs" in statement]
    assert len(looked) == 4
    if engine_name == "postgresql":
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        for statement, parameters in looked:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
            reads = [line for line in plan if " on job_runs" in line]
            assert reads
            assert [line for line in reads if "Index Only Scan" not in line] == []
        return
    # Its plans do not say so, because the status is said in the index's own condition; its programs do.
    rows = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'job_runs'").scalar_one()
    for statement, parameters in looked:
        program = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all()
        opened = {step.p1 for step in program if step.opcode == "OpenRead" and step.p2 == rows}
        assert any(step.opcode in ("SeekGE", "SeekLT", "SeekLE") for step in program)
        assert [step for step in program if step.opcode == "Column" and step.p1 in opened] == []
