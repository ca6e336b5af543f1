"""The log of a job: its newest lines are kept, the oldest go and are counted, and a line is no word about the job."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.concurrency import at_once
from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.chores import liveness
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Invalid, NotFound
from webapp.core.jobs import logs
from webapp.core.jobs.idempotency import KeyReused, RequestKey
from webapp.core.jobs.inputs import CUT_MARK, LINE_LIMIT, NewLines
from webapp.core.jobs.logs import Appended
from webapp.core.models import IdempotencyKey, JobRun, LogLine, LogTail

pytestmark = pytest.mark.usefixtures("core")
STATES = ("pending", "running", "completed", "failed", "canceled", "lost", "timed_out")


@pytest.fixture
def job(cast: Cast) -> JobRun:
    return job_in("running", cast.acme)


def body(*texts: str, **more: Any) -> dict[str, Any]:
    return {"lines": [{"text": text} | more for text in texts]}


def append(job: JobRun, *texts: str, key: str | None = None, **more: Any) -> Appended:
    sent = body(*texts, **more)
    once = RequestKey.from_body(key, sent) if key else None
    return logs.append(job.id, NewLines.parse(sent), within=job.workspace_id, request_key=once)


def texts(job: JobRun, after: int = 0) -> list[str]:
    return [line.text for line in logs.list_after(job, after).lines]


def tail_row(job: JobRun) -> tuple[int, int, int, int]:
    db.session.commit()
    row = db.session.execute(
        sa.select(LogTail.last_seq, LogTail.lines, LogTail.size, LogTail.dropped).where(LogTail.job_id == job.id)
    ).one()
    return row.last_seq, row.lines, row.size, row.dropped


def record(job: JobRun) -> dict[str, Any]:
    """The job's row as it stands, apart from the marks of a sign of life."""
    job = jobs.get_job_status(job.id)
    marks = {"updated_at", "last_seen_at", "version"}
    return {column.key: getattr(job, column.key) for column in JobRun.__table__.columns if column.key not in marks}


# --- append and read ---------------------------------------------------------------------------------------------


def test_lines_are_numbered_from_one_and_read_in_the_order_in_which_they_came(clock: Clock, job: JobRun) -> None:
    assert append(job, "one", "two", level="info") == (2, False)
    assert append(job, "three") == (3, False)
    page = logs.list_after(job, 0)
    assert [(line.seq, line.text, line.level) for line in page.lines] == [
        (1, "one", "info"),
        (2, "two", "info"),
        (3, "three", None),
    ]
    assert {line.at for line in page.lines} == {clock.now()}
    assert page.dropped == 0


def test_reading_goes_on_after_the_line_read_last_a_page_at_a_time(job: JobRun) -> None:
    append(job, *"abcde")
    assert texts(job, 3) == ["d", "e"]
    assert texts(job, 5) == []
    assert texts(job, 99) == []
    assert [line.text for line in logs.list_after(job, 1, limit=2).lines] == ["b", "c"]


def test_one_jobs_lines_are_not_anothers(job: JobRun, cast: Cast) -> None:
    other = job_in("running", cast.acme)
    append(job, "mine")
    assert append(other, "theirs") == (1, False)
    assert (texts(job), texts(other)) == (["mine"], ["theirs"])


def test_a_log_is_appended_to_only_through_the_jobs_own_workspace(job: JobRun, cast: Cast) -> None:
    for job_id, within in ((job.id, cast.other.id), (uuid.uuid4(), cast.acme.id), (uuid.uuid4(), None)):
        with pytest.raises(NotFound):
            logs.append(job_id, NewLines.parse(body("x")), within=within)
    assert logs.append(job.id, NewLines.parse(body("x")), within=None).next_after == 1


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ({}, ("lines",)),
        ({"lines": []}, ("lines",)),
        ({"lines": [{"text": "x"}] * 501}, ("lines",)),
        ({"lines": ["x"]}, ("lines", 0)),
        ({"lines": [{"text": "x"}, {}]}, ("lines", 1, "text")),
        ({"lines": [{"text": None}]}, ("lines", 0, "text")),
        ({"lines": [{"text": "x", "level": "fatal"}]}, ("lines", 0, "level")),
        ({"lines": [{"text": "x", "level": ""}]}, ("lines", 0, "level")),
        ({"lines": [{"text": "x", "at": "yesterday"}]}, ("lines", 0, "at")),
        ({"lines": [{"text": "x", "at": "2026-11-24T14:00:00"}]}, ("lines", 0, "at")),
        ({"lines": [{"text": "x", "seq": 4}]}, ("lines", 0, "seq")),
        ({"lines": [{"text": "x"}], "level": "info"}, ("level",)),
    ],
)
def test_lines_that_break_a_rule_are_refused_and_the_fault_is_named(sent: Any, path: tuple[Any, ...]) -> None:
    with pytest.raises(Invalid) as refused:
        NewLines.parse(sent)
    assert [fault.path for fault in refused.value.faults] == [path]


def test_what_cannot_be_stored_is_replaced_and_a_long_line_is_cut_with_a_mark(job: JobRun) -> None:
    append(job, "a\0b\ud800c", "", "two\nlines", "é" * LINE_LIMIT, "y" * LINE_LIMIT)
    first, empty, two, cut, whole = texts(job)
    assert (first, empty, two, whole) == ("a\ufffdb\ufffdc", "", "two\nlines", "y" * LINE_LIMIT)
    assert cut.startswith("éé")
    assert cut.endswith(CUT_MARK)
    assert LINE_LIMIT - 2 < len(cut.encode()) <= LINE_LIMIT


def test_a_late_line_keeps_its_time_within_the_life_of_the_job(cast: Cast, clock: Clock) -> None:
    created = clock.now()
    job = job_in("running", cast.acme)
    now = clock.advance(hours=1)
    late = now - timedelta(minutes=20)
    for at in (late, created - timedelta(days=1), now + timedelta(days=1), None):
        append(job, "x", at=at)
    assert [line.at for line in logs.list_after(job, 0).lines] == [late, created, now, now]


# --- the bounds --------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of at most 5 lines and 20 bytes; the oldest are looked at two at a time."""
    monkeypatch.setattr(logs, "MAX_LINES", 5)
    monkeypatch.setattr(logs, "MAX_SIZE", 20)
    monkeypatch.setattr(logs, "_DELETE_PAGE_SIZE", 2)


@pytest.mark.usefixtures("small")
def test_over_the_most_lines_the_oldest_go_and_are_counted(job: JobRun) -> None:
    append(job, *"abcde")
    assert tail_row(job) == (5, 5, 5, 0)
    append(job, "f", "g", "h")
    assert texts(job) == ["d", "e", "f", "g", "h"]
    assert tail_row(job) == (8, 5, 5, 3)
    append(job, "i")
    assert tail_row(job) == (9, 5, 5, 4)


@pytest.mark.usefixtures("small")
def test_over_the_most_bytes_in_utf_8_the_oldest_go(job: JobRun) -> None:
    append(job, "éé", "ab", "é" * 7)
    assert tail_row(job) == (3, 3, 20, 0)
    append(job, "x")
    assert texts(job) == ["ab", "é" * 7, "x"]
    assert tail_row(job) == (4, 3, 17, 1)
    append(job, "y" * 20)
    assert texts(job) == ["y" * 20]
    assert tail_row(job) == (5, 1, 20, 4)


@pytest.mark.usefixtures("small")
def test_of_more_than_fits_at_once_the_newest_are_kept(job: JobRun) -> None:
    append(job, *"abcdefghij")
    assert texts(job) == ["f", "g", "h", "i", "j"]
    append(job, *["k" * 9] * 4)
    assert tail_row(job) == (14, 2, 18, 12)


@pytest.mark.usefixtures("small")
def test_a_reader_is_told_how_many_lines_it_missed_and_only_those(job: JobRun) -> None:
    append(job, *"abcdefgh")
    assert [(logs.list_after(job, after).dropped) for after in (0, 1, 2, 3, 6, 8)] == [3, 2, 1, 0, 0, 0]


def test_the_bounds_are_ten_thousand_lines_and_four_mebibytes(job: JobRun) -> None:
    for _ in range(21):
        append(job, *["x"] * 500)
    assert tail_row(job) == (10_500, 10_000, 10_000, 500)
    for _ in range(5):
        append(job, *["y" * LINE_LIMIT] * 60)
    last, lines, size, dropped = tail_row(job)
    assert (last, size, lines) == (10_800, 4 * 1024 * 1024, 256)
    assert dropped == last - lines
    assert db.session.scalar(sa.select(sa.func.count()).select_from(LogLine)) == lines


def test_a_count_that_is_off_holds_nobody_up(job: JobRun) -> None:
    append(job, "a")
    with write_transaction() as session:
        session.execute(sa.update(LogTail).values(size=10 * 1024 * 1024))
    append(job, "b")
    assert append(job, "c").next_after == 3


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that run inside the block."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


def test_an_append_reads_no_line_that_stays(job: JobRun) -> None:
    append(job, *["x"] * 500)
    with statements() as seen:
        append(job, "y")
    assert not [statement for statement in seen if "FROM log_lines" in statement]


# --- the end of a log --------------------------------------------------------------------------------------------


def test_the_tail_is_the_newest_lines_that_fit_and_tells_what_is_before_them(job: JobRun) -> None:
    def tail(lines: int, size: int) -> tuple[str, int, int]:
        tail = logs.get_tail(job, lines=lines, size=size)
        return " ".join(line.text for line in tail.lines), tail.earlier, tail.dropped

    assert tail(3, 100) == ("", 0, 0)
    assert logs.get_last_seq(job) == 0
    append(job, "a", "éé", "cc", "d")
    assert tail(3, 100) == ("éé cc d", 1, 0)
    assert tail(9, 100) == ("a éé cc d", 0, 0)
    assert tail(9, 7) == ("éé cc d", 1, 0)
    assert tail(9, 6) == ("cc d", 2, 0)
    assert tail(9, 0) == ("d", 3, 0)
    assert logs.get_last_seq(job) == 4


@pytest.mark.usefixtures("small")
def test_the_tail_tells_how_many_lines_are_gone(job: JobRun) -> None:
    append(job, *"abcdefgh")
    tail = logs.get_tail(job, lines=2, size=100)
    assert ([line.text for line in tail.lines], tail.earlier, tail.dropped) == (["g", "h"], 3, 3)


# --- a line is no word about the job -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_a_job_in_any_status_takes_lines_and_stays_as_it_is(state: str, cast: Cast, clock: Clock) -> None:
    job = job_in(state, cast.acme)
    before, events = record(job), len(jobs.list_events(job))
    seen, version = job.last_seen_at, job.version
    clock.advance(seconds=30)
    assert append(job, "last words").next_after == 1
    assert record(job) == before
    assert len(jobs.list_events(job)) == events
    after = jobs.get_job_status(job.id)
    if state == "running":
        assert (after.last_seen_at, after.updated_at, after.version) == (clock.now(), clock.now(), version + 1)
    else:
        assert (after.last_seen_at, after.version) == (seen, version)


def test_a_runner_that_only_writes_lines_is_not_lost(cast: Cast, clock: Clock) -> None:
    job_id = jobs.enqueue_job("t", cast.acme.id, heartbeat_timeout=2, by=RUNNER)
    job = jobs.update_job_status(job_id, status="running", by=RUNNER)
    for _ in range(20):
        append(job, "still here")
        liveness.record_server_heartbeat()
        clock.advance(seconds=1)
        liveness.record_server_heartbeat()
        assert liveness.sweep().lost == 0
    for _ in range(3):
        clock.advance(seconds=1)
        liveness.record_server_heartbeat()
    assert liveness.sweep().lost == 1


def test_without_a_heartbeat_timeout_lines_renew_the_sign_of_life_now_and_then(cast: Cast, clock: Clock) -> None:
    job_id = jobs.enqueue_job("t", cast.acme.id, by=RUNNER)
    started = jobs.update_job_status(job_id, status="running", by=RUNNER)
    version, seen = started.version, []
    for _ in range(12):
        clock.advance(seconds=1)
        append(started, "x")
        seen.append(jobs.get_job_status(job_id).last_seen_at)
    assert len(set(seen)) == 3
    assert jobs.get_job_status(job_id).version == version + 2


def test_a_line_never_turns_a_jobs_time_back(job: JobRun, clock: Clock) -> None:
    latest = jobs.update_job_status(job.id, progress=5, by=RUNNER).updated_at
    clock.advance(seconds=-30)
    append(job, "from a machine whose clock is slow")
    after = jobs.get_job_status(job.id)
    assert (after.updated_at, after.last_seen_at) == (latest, latest)


def test_lines_are_not_the_hearing_of_a_cancel(job: JobRun) -> None:
    jobs.cancel_job(job.id, by=OPERATOR)
    append(job, "still at it")
    after = jobs.get_job_status(job.id)
    assert (after.cancel_progress, after.cancel_seen_at) == ("not_seen", None)


# --- once --------------------------------------------------------------------------------------------------------


def test_the_same_again_appends_nothing_and_answers_what_it_answered(job: JobRun, clock: Clock) -> None:
    first = append(job, "a", "b", key="k")
    append(job, "c")
    clock.advance(hours=1)
    seen = jobs.get_job_status(job.id).last_seen_at
    assert append(job, "a", "b", key="k") == (first.next_after, True)
    assert texts(job) == ["a", "b", "c"]
    assert jobs.get_job_status(job.id).last_seen_at == seen


def test_another_body_under_a_used_key_is_refused_and_appends_nothing(job: JobRun) -> None:
    append(job, "a", key="k")
    with pytest.raises(KeyReused):
        append(job, "b", key="k")
    assert texts(job) == ["a"]


def test_a_key_is_known_in_its_own_job_alone(job: JobRun, cast: Cast) -> None:
    other = job_in("running", cast.acme)
    append(job, "a", key="k")
    assert append(other, "b", key="k") == (1, False)


def test_of_equal_appends_at_once_one_appends_and_all_are_answered_alike(core: Flask, job: JobRun) -> None:
    answers = at_once(core, *[lambda: append_detached(job.id, "k", "a", "b")] * 8)
    assert sorted(answers) == [(2, False)] + [(2, True)] * 7  # type: ignore[type-var]
    assert texts(jobs.get_job_status(job.id)) == ["a", "b"]


def test_writers_at_once_lose_no_line_and_share_no_number(core: Flask, job: JobRun) -> None:
    answers = at_once(core, *[lambda: append_detached(job.id, None, "x", "y")] * 8)
    assert sorted(answer.next_after for answer in answers if isinstance(answer, Appended)) == list(range(2, 17, 2))
    assert tail_row(job) == (16, 16, 16, 0)
    assert texts(jobs.get_job_status(job.id)) == ["x", "y"] * 8


def test_a_job_deleted_while_lines_arrive_is_gone_or_not_found_without_a_deadlock(core: Flask, cast: Cast) -> None:
    def arrive(job_id: uuid.UUID) -> bool:
        with suppress(NotFound):
            return append_detached(job_id, None, *["x"] * 100).next_after > 0
        return False

    def delete(job_id: uuid.UUID) -> bool:
        with write_transaction() as session:
            session.execute(sa.delete(JobRun).where(JobRun.id == job_id))
        return True

    for _ in range(20):
        job = job_in("running", cast.acme)
        append(job, "x")
        at_once(core, *[partial(arrive, job.id)] * 2, partial(delete, job.id), partial(arrive, job.id))
    db.session.commit()
    for table in (JobRun, LogLine, LogTail):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def append_detached(job_id: uuid.UUID, key: str | None, *texts: str) -> Appended:
    sent = body(*texts)
    once = RequestKey.from_body(key, sent) if key else None
    return logs.append(job_id, NewLines.parse(sent), within=None, request_key=once)


def test_a_job_that_is_deleted_takes_its_log_and_its_keys_with_it(job: JobRun) -> None:
    append(job, "a", key="k")
    db.session.execute(sa.delete(JobRun).where(JobRun.id == job.id))
    db.session.commit()
    for table in (LogLine, LogTail, IdempotencyKey):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
