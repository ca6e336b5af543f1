"""Keeps the log of a job: the lines that its runner writes, the newest of them kept.

A job takes lines in any status: the last lines of a canceled or finished job are evidence. They never move a job, do
not revive a lost one, and do not count as seeing a cancel, for an append is answered with nothing about the job.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Row
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.database.paging import fit_page
from webapp.core.database.session import db
from webapp.core.database.statements import insert_of_engine
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import NotFound
from webapp.core.jobs import idempotency, store
from webapp.core.jobs.idempotency import RequestKey
from webapp.core.jobs.inputs import NewLine, NewLines
from webapp.core.json_text import measure_json
from webapp.core.limits import limits, usage
from webapp.core.models import JobRun, LogLine, LogTail, job_runs, log_lines, log_tails

MAX_LINES = 10_000
"""Lines that a job keeps."""
MAX_SIZE = 4 * 1024 * 1024
"""Bytes of UTF-8 text that a job keeps."""
PAGE_SIZE = 1000
"""Lines that one reading gives at most."""
MAX_PAGE_SIZE = 1024 * 1024
"""Bytes of JSON text that the lines of one reading may have."""
TOUCH_EVERY = timedelta(seconds=5)
"""How often lines alone renew ``last_seen_at`` where no heartbeat timeout depends on it."""

_DELETE_PAGE_SIZE = 500


# --- append ------------------------------------------------------------------------------------------------------


class Appended(NamedTuple):
    """The number of the last line, and whether an earlier request under the same key had appended it."""

    next_after: int
    replayed: bool


def append(
    job_id: uuid.UUID, new: NewLines, *, within: uuid.UUID | None, request_key: RequestKey | None = None
) -> Appended:
    """Append lines to a job's log, in any status of the job; with ``request_key`` only if that is new to this job.

    What is over ``MAX_LINES`` or ``MAX_SIZE`` is dropped from the oldest on, and counted. The cost follows the lines
    that come and go, never those that stay. Writers of one log queue for the row of its tail; of equal requests at
    once, in whatever processes, one appends. Raises ``NotFound``, ``KeyReused`` and ``OverDailyLimit``; lines that are
    sent again count again.
    """
    size = sum(len(line.text.encode()) for line in new.lines)
    with usage.of_process.claimed(within, limits.LOG_SIZE, size), write_transaction() as session:
        job = _lock_job(session, job_id, within)
        tail = _lock_tail(session, job_id)
        if request_key and (earlier := idempotency.find_request(job_id, request_key)):
            return Appended(earlier.next_after or 0, replayed=True)
        now = clock.now()
        rows = [_line_row(job, line, tail.last_seq + number, now) for number, line in enumerate(new.lines, start=1)]
        _insert_lines(session, tail, rows)
        next_after = tail.last_seq + len(rows)
        if request_key:
            idempotency.insert_key(session, job_id, request_key, job_id=job_id, next_after=next_after)
        _touch(session, job, now)
    return Appended(next_after, replayed=False)


def _lock_job(session: Session, job_id: uuid.UUID, within: uuid.UUID | None) -> Row[Any]:
    """Read what an append must know of its job, which cannot be deleted meanwhile. Raises ``NotFound``.

    Whoever deletes a job locks it first and its log after; so do we, or each would wait for the other.
    """
    columns = [job_runs.c[name] for name in ("id", "created_at", "last_seen_at", "heartbeat_timeout")]
    query = sa.select(*columns).where(job_runs.c.id == job_id)
    if within is not None:
        query = query.where(job_runs.c.workspace_id == within)
    job = session.execute(query.with_for_update(read=True, key_share=True)).first()
    if job is None:
        raise NotFound("There is no such job.")
    return job


def _lock_tail(session: Session, job_id: uuid.UUID) -> Row[Any]:
    """Lock the tail of a job's log until the end of the transaction; it is created if the job has none."""
    query = sa.select(log_tails).where(log_tails.c.job_id == job_id).with_for_update()
    tail = session.execute(query).first()
    if tail is None:
        empty = {"job_id": job_id, "last_seq": 0, "lines": 0, "size": 0, "dropped": 0}
        # Another first line may be on its way: then we wait for it here, and read its tail.
        session.execute(insert_of_engine()(log_tails).values(empty).on_conflict_do_nothing())
        tail = session.execute(query).one()
    return tail


def _line_row(job: Row[Any], line: NewLine, seq: int, now: datetime) -> dict[str, Any]:
    """Return a line as it is stored; a time before the job or in the future is brought to that bound."""
    at = max(min(line.at or now, now), job.created_at)
    return {"job_id": job.id, "seq": seq, "at": at, "level": line.level, "text": line.text}


def _insert_lines(session: Session, tail: Row[Any], rows: Sequence[dict[str, Any]]) -> None:
    """Add lines to a log, delete the oldest that no longer fit, and keep the counts of its tail."""
    session.execute(sa.insert(log_lines), rows)
    lines, size = tail.lines + len(rows), tail.size + sum(len(row["text"].encode()) for row in rows)
    dropped = _delete_oldest(session, tail, lines - MAX_LINES, size - MAX_SIZE)
    counts = {
        "last_seq": tail.last_seq + len(rows),
        "lines": lines - dropped.lines,
        "size": size - dropped.size,
        "dropped": tail.dropped + dropped.lines,
    }
    session.execute(sa.update(log_tails).where(log_tails.c.job_id == tail.job_id).values(counts))


class _Dropped(NamedTuple):
    lines: int
    size: int


def _delete_oldest(session: Session, tail: Row[Any], lines: int, size: int) -> _Dropped:
    """Delete the oldest lines of a log, until so many lines and so many bytes are gone, or all are."""
    dropped = _Dropped(0, 0)
    while dropped.lines < lines or dropped.size < size:
        # Kept lines have no gaps: where they begin is known, and need not be looked for among what was deleted before.
        first = tail.dropped + dropped.lines
        oldest = session.execute(
            sa.select(log_lines.c.seq, _text_size())
            .where(log_lines.c.job_id == tail.job_id, log_lines.c.seq > first)
            .order_by(log_lines.c.seq)
            .limit(_DELETE_PAGE_SIZE)
        ).all()
        if not oldest:
            break
        for _, line_size in oldest:
            dropped = _Dropped(dropped.lines + 1, dropped.size + line_size)
            if dropped.lines >= lines and dropped.size >= size:
                break
        last = tail.dropped + dropped.lines
        is_oldest = log_lines.c.job_id == tail.job_id, log_lines.c.seq.between(first + 1, last)
        session.execute(sa.delete(log_lines).where(*is_oldest))
    return dropped


def _text_size() -> sa.ColumnElement[int]:
    """Count the bytes of a line's text in UTF-8, in the database."""
    if db.engine.dialect.name == "postgresql":
        return sa.func.octet_length(log_lines.c.text)
    return sa.func.length(sa.cast(log_lines.c.text, sa.LargeBinary))


def _touch(session: Session, job: Row[Any], now: datetime) -> None:
    """Let the runner of a running job count as alive, as a heartbeat does.

    Where the job may be failed for silence every append counts, in its own transaction, so that a time-out under way
    sees that the job has changed. Elsewhere nothing depends on ``last_seen_at``, and a runner that writes line by line
    neither writes the job's row each time nor makes every open page draw it anew.
    """
    if job.heartbeat_timeout is None and job.last_seen_at and job.last_seen_at > now - TOUCH_EVERY:
        return
    store.touch_running(session, job.id, now)


# --- read --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lines:
    """Some lines of a log, oldest first, and how many lines before them are ``dropped``: deleted for good."""

    lines: Sequence[LogLine]
    dropped: int


def list_after(job: JobRun, after: int, *, limit: int = PAGE_SIZE) -> Lines:
    """Return the lines after the number ``after``, up to ``limit`` and ``MAX_PAGE_SIZE``.

    ``dropped`` counts those that the reader missed.
    """
    lines = fit_page(_select_after(job, after, limit), lambda line: measure_json(line.text), MAX_PAGE_SIZE)
    return Lines(lines, dropped=lines[0].seq - after - 1 if lines else 0)


def _select_after(job: JobRun, after: int, limit: int) -> Sequence[LogLine]:
    query = sa.select(LogLine).where(LogLine.job_id == job.id, LogLine.seq > after).order_by(LogLine.seq).limit(limit)
    return db.session.scalars(query).all()


def iterate_text(job: JobRun) -> Iterator[str]:
    """Yield the kept lines of a log as lines of text, oldest first: the time in UTC, the level if it has one, the text.

    Each page is read by itself, and its transaction has ended before its first line is handed on. What is dropped or
    appended meanwhile is no fault.
    """
    after = 0
    while True:
        lines = list_after(job, after).lines
        db.session.commit()
        if not lines:
            return
        yield from (_to_text(line) for line in lines)
        after = lines[-1].seq


def _to_text(line: LogLine) -> str:
    level = f" {line.level}" if line.level else ""
    return f"{clock.to_iso(line.at)}{level} {line.text}\n"


@dataclass(frozen=True)
class Tail(Lines):
    """The end of a log; ``earlier`` lines are kept before it."""

    earlier: int


def get_tail(job: JobRun, *, lines: int, size: int) -> Tail:
    """Return the newest lines: up to so many, of up to so many bytes of text together, but the last one in any case."""
    counts = db.session.scalar(
        sa.select(LogTail).where(LogTail.job_id == job.id).execution_options(populate_existing=True)
    )
    if counts is None:
        return Tail([], dropped=0, earlier=0)
    newest = _select_after(job, _seq_before_newest(job, lines, size), lines)
    return Tail(newest, dropped=counts.dropped, earlier=newest[0].seq - counts.dropped - 1)


def _seq_before_newest(job: JobRun, lines: int, size: int) -> int:
    """Return the number before the newest lines that fit."""
    newest = db.session.execute(
        sa.select(log_lines.c.seq, _text_size())
        .where(log_lines.c.job_id == job.id)
        .order_by(log_lines.c.seq.desc())
        .limit(lines)
    ).all()
    total_sizes = accumulate(line_size for _, line_size in newest)
    fitting = sum(total <= size for total in total_sizes)
    first: int = newest[max(fitting, 1) - 1].seq
    return first - 1


def get_last_seq(job: JobRun) -> int:
    """Return the number of the newest line, 0 when there is none. Two equal answers mean the same log."""
    return db.session.scalar(sa.select(LogTail.last_seq).where(LogTail.job_id == job.id)) or 0
