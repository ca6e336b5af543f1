"""The log of a job: the lines that its runner writes, the newest of them kept.

A job takes lines in any status: the last words of a canceled or finished job are evidence. They never move a job, do
not revive a lost one, and are not the hearing of a cancel, for an append is answered with nothing about the job.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Row
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import NotFound
from webapp.core.jobs import idempotency
from webapp.core.jobs.idempotency import Once
from webapp.core.jobs.inputs import NewLine, NewLines
from webapp.core.lifecycle import JobStatus
from webapp.core.models import Base, JobRun, LogLine, LogTail

MAX_LINES = 10_000
"""Lines that a job keeps."""
MAX_SIZE = 4 * 1024 * 1024
"""Bytes of UTF-8 text that a job keeps."""
PAGE = 1000
"""Lines that one reading gives at most."""
HEARD_EVERY = timedelta(seconds=5)
"""How often lines alone renew ``last_seen_at`` where nothing is judged by it."""

_DROP_PAGE = 500

_JOBS = Base.metadata.tables[JobRun.__tablename__]
_TAILS = Base.metadata.tables[LogTail.__tablename__]
_LINES = Base.metadata.tables[LogLine.__tablename__]
_job, _tail, _line = _JOBS.c, _TAILS.c, _LINES.c


# --- append ------------------------------------------------------------------------------------------------------


class Appended(NamedTuple):
    """The number of the last line, and whether an earlier request under the same key had appended it."""

    next_after: int
    replayed: bool


def append(job_id: uuid.UUID, new: NewLines, *, within: uuid.UUID | None, once: Once | None = None) -> Appended:
    """Append lines to a job's log, in any status of the job; with ``once`` only if its key is new to this job.

    What is over ``MAX_LINES`` or ``MAX_SIZE`` goes from the oldest on, and is counted. The cost follows the lines that
    come and go, never those that stay. Writers of one log queue for the row of its tail; of equal requests at once, in
    whatever processes, one appends. Raises ``NotFound`` and ``KeyReused``.
    """
    with write_transaction() as session:
        job = _held(session, job_id, within)
        tail = _locked_tail(session, job_id)
        if once and (before := idempotency.earlier(job_id, once)):
            return Appended(before.next_after or 0, replayed=True)
        now = clock.now()
        rows = [_row(job, line, tail.last_seq + number, now) for number, line in enumerate(new.lines, start=1)]
        _store(session, tail, rows)
        next_after = tail.last_seq + len(rows)
        if once:
            idempotency.keep(session, job_id, once, job_id=job_id, next_after=next_after)
        _hear(session, job, now)
    return Appended(next_after, replayed=False)


def _held(session: Session, job_id: uuid.UUID, within: uuid.UUID | None) -> Row[Any]:
    """What an append must know of its job, which cannot be deleted meanwhile. Raises ``NotFound``.

    Whoever deletes a job holds it first and its log after; so do we, or each would wait for the other.
    """
    asked = [_job.id, _job.created_at, _job.last_seen_at, _job.heartbeat_timeout]
    query = sa.select(*asked).where(_job.id == job_id)
    if within is not None:
        query = query.where(_job.workspace_id == within)
    job = session.execute(query.with_for_update(read=True, key_share=True)).first()
    if job is None:
        raise NotFound("There is no such job.")
    return job


def _locked_tail(session: Session, job_id: uuid.UUID) -> Row[Any]:
    """The tail of a job's log, ours until the end of the transaction; made if the job has none."""
    query = sa.select(_TAILS).where(_tail.job_id == job_id).with_for_update()
    found = session.execute(query).first()
    if found is None:
        insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
        empty = {"job_id": job_id, "last_seq": 0, "lines": 0, "size": 0, "dropped": 0}
        # Another first line may be on its way: then we wait for it here, and find its tail.
        session.execute(insert(_TAILS).values(empty).on_conflict_do_nothing())
        found = session.execute(query).one()
    return found


def _row(job: Row[Any], line: NewLine, seq: int, now: datetime) -> dict[str, Any]:
    """A line as it is stored; a time before the job or in the future is brought to that bound."""
    at = max(min(line.at or now, now), job.created_at)
    return {"job_id": job.id, "seq": seq, "at": at, "level": line.level, "text": line.text}


def _store(session: Session, tail: Row[Any], rows: Sequence[dict[str, Any]]) -> None:
    """Add lines to a log, let the oldest go that no longer fit, and keep count of all that."""
    session.execute(sa.insert(_LINES), rows)
    lines, size = tail.lines + len(rows), tail.size + sum(len(row["text"].encode()) for row in rows)
    gone = _drop_oldest(session, tail, lines - MAX_LINES, size - MAX_SIZE)
    counts = {"lines": lines - gone.lines, "size": size - gone.size, "dropped": tail.dropped + gone.lines}
    last = {"last_seq": tail.last_seq + len(rows)}
    session.execute(sa.update(_TAILS).where(_tail.job_id == tail.job_id).values(counts | last))


class _Gone(NamedTuple):
    lines: int
    size: int


def _drop_oldest(session: Session, tail: Row[Any], lines: int, size: int) -> _Gone:
    """Delete the oldest lines of a log, until so many lines and so many bytes are gone, or all are."""
    gone = _Gone(0, 0)
    while gone.lines < lines or gone.size < size:
        # Kept lines have no gaps: where they begin is known, and need not be looked for among what was deleted before.
        first = tail.dropped + gone.lines
        oldest = session.execute(
            sa.select(_line.seq, _weight())
            .where(_line.job_id == tail.job_id, _line.seq > first)
            .order_by(_line.seq)
            .limit(_DROP_PAGE)
        ).all()
        if not oldest:
            break
        for _, weight in oldest:
            gone = _Gone(gone.lines + 1, gone.size + weight)
            if gone.lines >= lines and gone.size >= size:
                break
        last = tail.dropped + gone.lines
        session.execute(sa.delete(_LINES).where(_line.job_id == tail.job_id, _line.seq.between(first + 1, last)))
    return gone


def _weight() -> sa.ColumnElement[int]:
    """The bytes of a line's text in UTF-8, counted by the database."""
    if db.engine.dialect.name == "postgresql":
        return sa.func.octet_length(_line.text)
    return sa.func.length(sa.cast(_line.text, sa.LargeBinary))


def _hear(session: Session, job: Row[Any], now: datetime) -> None:
    """A line shows that the runner of a running job lives, as a heartbeat does.

    Where the job may be failed for silence every append counts, in its own transaction, so that a verdict under way
    finds the job changed. Elsewhere nobody judges by ``last_seen_at``, and a runner that writes line by line neither
    writes the job's row each time nor makes every open page draw it anew.
    """
    if job.heartbeat_timeout is None and job.last_seen_at and job.last_seen_at > now - HEARD_EVERY:
        return
    # As everywhere: never before what the job already tells.
    heard = sa.case((_job.updated_at > now, _job.updated_at), else_=now)
    session.execute(
        sa.update(_JOBS)
        .where(_job.id == job.id, _job.status == JobStatus.RUNNING)
        .values(updated_at=heard, last_seen_at=heard, version=_job.version + 1)
    )


# --- read --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lines:
    """Some lines of a log, oldest first, and how many lines before them are ``dropped``: gone for good."""

    lines: Sequence[LogLine]
    dropped: int


def read_after(job: JobRun, after: int, *, limit: int = PAGE) -> Lines:
    """The lines after the number ``after``, up to ``limit``; ``dropped`` counts those that the reader missed."""
    query = sa.select(LogLine).where(LogLine.job_id == job.id, LogLine.seq > after).order_by(LogLine.seq).limit(limit)
    lines = db.session.scalars(query).all()
    return Lines(lines, dropped=lines[0].seq - after - 1 if lines else 0)


@dataclass(frozen=True)
class Tail(Lines):
    """The end of a log; ``earlier`` lines are kept before it."""

    earlier: int


def tail(job: JobRun, *, lines: int, size: int) -> Tail:
    """The newest lines: up to so many, of up to so many bytes of text together, but the last one in any case."""
    kept = db.session.scalar(
        sa.select(LogTail).where(LogTail.job_id == job.id).execution_options(populate_existing=True)
    )
    if kept is None:
        return Tail([], dropped=0, earlier=0)
    found = read_after(job, _before_the_newest(job, lines, size), limit=lines).lines
    return Tail(found, dropped=kept.dropped, earlier=found[0].seq - kept.dropped - 1)


def _before_the_newest(job: JobRun, lines: int, size: int) -> int:
    """The number before the newest lines that fit."""
    newest = db.session.execute(
        sa.select(_line.seq, _weight()).where(_line.job_id == job.id).order_by(_line.seq.desc()).limit(lines)
    ).all()
    sums = accumulate(weight for _, weight in newest)
    fitting = sum(total <= size for total in sums)
    first: int = newest[max(fitting, 1) - 1].seq
    return first - 1


def last_seq(job: JobRun) -> int:
    """The number of the newest line, 0 when there is none. Two equal answers mean the same log."""
    return db.session.scalar(sa.select(LogTail.last_seq).where(LogTail.job_id == job.id)) or 0
