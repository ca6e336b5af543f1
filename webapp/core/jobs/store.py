"""The four verbs of a job: enqueue, update, get, cancel. The only writer of ``status``.

Two writers can meet (a cancel against a completion). ``decisions`` says what a word does to a job as it stands; one
conditional UPDATE writes that down, with its event, only if the job still stands so. Whoever finds that another came
between is judged anew, and told the truth.

``enqueue_job``, ``update_job_status``, ``get_job_status`` and ``cancel_job`` are for Python code in this process.
The doors, which check a body as a whole, hand it to ``enqueue`` and ``update``. ``within`` is the workspace that the
asker may see; a job elsewhere is not found. Only in-process code and the command line may leave it out.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from itertools import starmap
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from webapp.core import audit, clock, metrics
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database.session import db
from webapp.core.database.statements import CompiledStatement, extra_row, prefixed
from webapp.core.database.transactions import write_lock, write_transaction
from webapp.core.errors import Fault, Invalid, NotFound, Refused
from webapp.core.jobs import decisions, error_groups, idempotency, time_limits
from webapp.core.jobs.decisions import Judgement, News
from webapp.core.jobs.idempotency import Once
from webapp.core.jobs.inputs import BatchedReport, NewJob, Report
from webapp.core.lifecycle import LIVE, SUCCESSORS, EventKind, FailureReason, JobStatus
from webapp.core.models import Base, IdempotencyKey, JobEvent, JobRow, JobRun, JobTag, new_id
from webapp.core.webhooks import outbox

_JOBS = Base.metadata.tables[JobRun.__tablename__]
_EVENTS = Base.metadata.tables[JobEvent.__tablename__]
_TAGS = Base.metadata.tables[JobTag.__tablename__]
_job = _JOBS.c
_HOT_COLUMNS = [_job[name] for name in JobRow._fields if name != "payload"]
"""What a write gives back. The payload may be large, and nobody who reports on a job asks for it."""


# --- enqueue -----------------------------------------------------------------------------------------------------


def enqueue_job(
    type: str,
    workspace_id: uuid.UUID | None,
    payload: dict[str, Any] | None = None,
    *,
    tags: Sequence[str] = (),
    max_duration: int | None = None,
    heartbeat_timeout: int | None = None,
    parent_id: uuid.UUID | None = None,
    link: str | None = None,
    runner: str | None = None,
    by: Actor = SYSTEM,
) -> uuid.UUID:
    """Create a pending job and return its id. ``max_duration`` and ``heartbeat_timeout`` are seconds.

    Raises ``Invalid`` (with every fault) and ``NotFound`` (no such workspace).
    """
    sent = {
        "type": type,
        "payload": payload,
        # A text is a sequence as well; as it is, it is refused like every other thing that is no list.
        "tags": list(tags) if isinstance(tags, list | tuple) else tags,
        "max_duration": max_duration,
        "heartbeat_timeout": heartbeat_timeout,
        "parent_id": parent_id,
        "link": link,
        "runner": runner,
    }
    return enqueue(NewJob.checked(sent), workspace_id=workspace_id, by=by).id


def enqueue_once(new: NewJob, once: Once, *, workspace_id: uuid.UUID, by: Actor) -> tuple[JobRow | JobRun, bool]:
    """Create a job unless one was created under the same key; the job, and whether it was there already.

    Raises as ``enqueue_job`` does, and ``KeyReused``. Of equal requests at once, in whatever processes, one creates.
    """
    while True:
        if found := idempotency.earlier(workspace_id, once):
            return get_job_status(found.job_id, within=workspace_id), True
        try:
            return enqueue(new, workspace_id=workspace_id, by=by, once=once), False
        except _KeyTaken:
            continue


class _KeyTaken(Exception):
    """Another request with the same key was faster."""


def enqueue(new: NewJob, *, workspace_id: uuid.UUID | None, by: Actor, once: Once | None = None) -> JobRow:
    """Create a pending job from a checked body, with its ``enqueued`` event. Raises as ``enqueue_job`` does."""
    now = clock.now()
    made = new.made_at(now)
    tags = list(dict.fromkeys(new.tags or ()))
    job_id = new_id(made)
    values: dict[str, Any] = dict.fromkeys(_job.keys()) | {
        "id": job_id,
        "type": new.type,
        "status": JobStatus.PENDING,
        "payload": new.payload,
        "progress": 0,
        "workspace_id": workspace_id,
        "created_by": by.ref,
        "created_at": made,
        "updated_at": now,
        "tags": tags,
        "link": new.link,
        "runner": new.runner,
        "max_duration": new.max_duration,
        "heartbeat_timeout": new.heartbeat_timeout,
        "parent_id": new.parent_id,
        "version": 1,
    }
    if new.parent_id is not None and not _stands_in(new.parent_id, workspace_id):
        raise _no_such_parent()
    try:
        values |= _insert(values, once, by=by)
    except IntegrityError as error:
        if once and IdempotencyKey.__tablename__ in str(error.orig):
            raise _KeyTaken from None
        if new.parent_id is not None and not _stands_in(new.parent_id, workspace_id):
            raise _no_such_parent() from None
        raise NotFound("There is no such workspace.") from None
    metrics.jobs_created.labels(by.kind).inc()
    return JobRow(**values)


def _insert(values: dict[str, Any], once: Once | None, *, by: Actor) -> dict[str, Any]:
    """Write a job with all that belongs to it. A limit that the runner left out is its workspace's, which is returned.

    Jobs are found by tag within a workspace; one without a workspace only carries its list.
    """
    job_id, workspace_id = values["id"], values["workspace_id"]
    left_out = tuple(name for name in time_limits.COLUMNS if values[name] is None)
    tags = values["tags"] if workspace_id is not None else ()
    kept = once if workspace_id is not None else None
    news = News(EventKind.ENQUEUED, values["created_at"], to=JobStatus.PENDING)
    sent = prefixed("new", {name: value for name, value in values.items() if name not in left_out})
    sent |= {"of_workspace": workspace_id, "of_type": values["type"]}
    sent |= prefixed("event", _event(job_id, news, by))
    for number, tag in enumerate(tags):
        sent |= prefixed(f"tag{number}", {"workspace_id": workspace_id, "tag": tag, "job_id": job_id})
    if kept:
        sent |= prefixed("key", {"scope": workspace_id, "key": kept.key, "digest": kept.digest, "job_id": job_id})
    with write_lock():
        row = _creating(left_out, len(tags), kept is not None).fetch_first(sent)
    return dict(zip(("id", *left_out), row or (), strict=True))


@cache
def _creating(left_out: tuple[str, ...], tags: int, keyed: bool) -> CompiledStatement:
    """One statement that asks for the limits that were left out and writes the row; one is kept for each shape."""
    asked: list[sa.BindParameter[Any]] = [sa.bindparam("of_workspace", type_=_job.workspace_id.type)]
    asked.append(sa.bindparam("of_type", type_=_job.type.type))
    row: dict[str, Any] = {
        column.name: time_limits.default_of(column.name, *asked)
        if column.name in left_out
        else sa.bindparam(f"new_{column.name}", type_=column.type)
        for column in _job
    }
    told = [_job.id, *(_job[name] for name in left_out)]
    lines = [_EVENT, *(extra_row(f"tag{number}", _TAGS, ("workspace_id", "tag", "job_id")) for number in range(tags))]
    if keyed:
        lines.append(idempotency.line_of_job("key"))
    return CompiledStatement(sa.insert(_JOBS).values(row).returning(*told), told, extra_rows=lines)


def _stands_in(job_id: uuid.UUID, workspace_id: uuid.UUID | None) -> bool:
    row = _reading(True).fetch_first({"key": job_id, "within": workspace_id})
    return row is not None


def _no_such_parent() -> Invalid:
    return Invalid([Fault(("parent_id",), "There is no such job in this workspace.")])


# --- what ran elsewhere ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PastJob:
    """A job that ran before the board heard of it, told as a whole. ``ended_at`` is null as long as it is live.

    The moments must follow each other and lead to ``status`` by the lifecycle, or ``ValueError`` is raised.
    """

    type: str
    status: JobStatus
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    created_by: str = SYSTEM.ref
    canceled_by: str | None = None
    runner: str | None = None
    progress: int = 0
    message: str | None = None
    payload: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    failure_reason: FailureReason | None = None
    max_duration: int | None = None
    link: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [at for at in (self.created_at, self.started_at, self.ended_at) if at is not None]
        moves = [step for step in self.steps if step[1] is not None and step[2] not in SUCCESSORS[step[1]]]
        if moves or known != sorted(known) or (self.ended_at is None) != (self.status in LIVE):
            raise ValueError(f"No job becomes {self.status} like this.")

    @property
    def steps(self) -> Sequence[tuple[datetime, JobStatus | None, JobStatus]]:
        """Each status it took, since when, and from which one."""
        steps: list[tuple[datetime, JobStatus | None, JobStatus]] = [(self.created_at, None, JobStatus.PENDING)]
        if self.started_at is not None:
            steps.append((self.started_at, JobStatus.PENDING, JobStatus.RUNNING))
        if self.status is not steps[-1][2]:
            steps.append((self.ended_at or self.created_at, steps[-1][2], self.status))
        return steps


def record_past(past: Sequence[PastJob], *, within: uuid.UUID) -> None:
    """Write down jobs that ran before the board heard of them, with their history, in one transaction.

    Nobody is told by webhook: none of it is news.
    """
    rows = [_row_of_past(job, within) for job in past]
    with write_transaction() as session:
        # Apart from the session's own machinery, which would cost more than the database does.
        connection = session.connection()
        for table, written in (
            (_JOBS, rows),
            (
                _EVENTS,
                [event for row, job in zip(rows, past, strict=True) for event in _events_of_past(row["id"], job)],
            ),
            (_TAGS, [{"workspace_id": within, "tag": tag, "job_id": row["id"]} for row in rows for tag in row["tags"]]),
        ):
            if written:
                connection.execute(sa.insert(table), written)


def _row_of_past(job: PastJob, within: uuid.UUID) -> dict[str, Any]:
    canceled = job.status is JobStatus.CANCELED
    heard = job.ended_at or job.started_at
    return dict.fromkeys(_job.keys()) | {
        "id": new_id(job.created_at),
        "type": job.type,
        "status": job.status,
        "payload": job.payload,
        "result": job.result,
        "error": job.error,
        "progress": job.progress,
        "workspace_id": within,
        "created_by": job.created_by,
        "started_at": job.started_at,
        "completed_at": None if canceled else job.ended_at,
        "created_at": job.created_at,
        "updated_at": heard or job.created_at,
        "canceled_at": job.ended_at if canceled else None,
        "canceled_by": job.canceled_by if canceled else None,
        # Whoever tells of a cancel that is past has heard of it.
        "cancel_seen_at": job.ended_at if canceled and job.started_at else None,
        "cancel_confirmed_at": job.ended_at if canceled and job.started_at else None,
        "message": job.message,
        "tags": list(dict.fromkeys(job.tags)),
        "link": job.link,
        "runner": job.runner,
        "failure_reason": job.failure_reason,
        "error_group": error_groups.mark(job.type, job.error) if job.status is JobStatus.FAILED else None,
        "max_duration": job.max_duration,
        "last_seen_at": heard,
        "version": len(job.steps),
    }


def _events_of_past(job_id: uuid.UUID, job: PastJob) -> Iterator[dict[str, Any]]:
    for at, before, to in job.steps:
        ends = at == job.ended_at and to is job.status
        yield {
            "job_id": job_id,
            "at": at,
            "kind": EventKind.MOVED if before else EventKind.ENQUEUED,
            "from_status": before,
            "to_status": to,
            "by": (job.canceled_by if to is JobStatus.CANCELED else None) or job.created_by,
            "message": job.message if ends else None,
        }


# --- get ---------------------------------------------------------------------------------------------------------


def get_job_status(job_id: uuid.UUID, *, within: uuid.UUID | None = None) -> JobRun:
    """The job as it stands. Raises ``NotFound``, also for a job of another workspace.

    Commits what the caller's database session has under way: the answer is how things stand now, not when an earlier
    transaction began.
    """
    # On SQLite an open read transaction sees the past, and code that polls in one context would see it for ever.
    db.session.commit()
    query = sa.select(JobRun).where(JobRun.id == job_id).execution_options(populate_existing=True)
    if within is not None:
        query = query.where(JobRun.workspace_id == within)
    job = db.session.scalar(query)
    if job is None:
        raise NotFound("There is no such job.")
    return job


def history(job: JobRun) -> Sequence[JobEvent]:
    """Everything that happened to a job, oldest first."""
    return db.session.scalars(sa.select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.id)).all()


# --- update ------------------------------------------------------------------------------------------------------


def update_job_status(
    job_id: uuid.UUID,
    *,
    status: JobStatus | str | None = None,
    progress: int | None = None,
    message: str | None = None,
    result: dict[str, Any] | None = None,
    error: str | None = None,
    link: str | None = None,
    runner: str | None = None,
    occurred_at: datetime | None = None,
    within: uuid.UUID | None = None,
    by: Actor = SYSTEM,
) -> JobRun:
    """Report on a job: its status, its progress (0 to 100), what it produced or why it failed. Nothing is a heartbeat.

    Raises ``Invalid`` (with every fault), ``NotFound``, and ``Refused`` with the job as it stands when the report
    contradicts it: ``illegal_transition``, ``job_canceled`` or ``job_timed_out`` (stop).
    """
    sent = {
        "status": status,
        "progress": progress,
        "message": message,
        "result": result,
        "error": error,
        "link": link,
        "runner": runner,
        "occurred_at": occurred_at,
    }
    report = Report.checked({name: value for name, value in sent.items() if value is not None})
    return _loaded(update(job_id, report, within=within, by=by))


def update(job_id: uuid.UUID, report: Report, *, within: uuid.UUID | None, by: Actor) -> JobRow:
    """Apply a checked report to a job. Raises ``NotFound`` and ``Refused``, as ``update_job_status`` does."""

    def judge(job: JobRow) -> Judgement:
        return decisions.of_report(job, report, by=by.ref, read=clock.now())

    if job := _stay(job_id, report, within):
        metrics.job_updates.labels("noted").inc()
        return job
    try:
        job, judged = _judged(job_id, judge, within=within, by=by)
    except NotFound:
        metrics.job_updates.labels("not_found").inc()
        raise
    metrics.job_updates.labels(judged.outcome).inc()
    return _answered(job, judged)


def _stay(job_id: uuid.UUID, report: Report, within: uuid.UUID | None) -> JobRow | None:
    """The hot path: one statement, no event. Null when the job is in none of the statuses that the report fits."""
    statuses = decisions.stays_in(report)
    if not statuses:
        return None
    content = report.content
    statement = _conditional_update(statuses, frozenset(content), within is not None)
    with write_lock():
        row = statement.fetch_first(_keys(job_id, within) | content | {"now": clock.now()})
    return JobRow(*row) if row else None


def update_several(
    reports: Sequence[BatchedReport], *, within: uuid.UUID, by: Actor
) -> list[JobRow | NotFound | Refused]:
    """Apply checked reports in one transaction, each judged alone, those of one job in the order given.

    Returns what each would have been answered by itself: the job as it then stood, or why not. The rows are locked in
    the order of their ids, so that two batches never wait for each other in a circle.
    """
    answers: list[JobRow | NotFound | Refused] = []
    changed: dict[uuid.UUID, set[str]] = {}
    told, outcomes = [], []
    with write_transaction() as session:
        stand = _locked(session, {report.id for report in reports}, within)
        read = clock.now()
        for report in reports:
            job = stand.get(report.id)
            if job is None:
                answers.append(NotFound("There is no such job."))
                outcomes.append("not_found")
                continue
            judged = decisions.of_report(job, report, by=by.ref, read=read)
            outcomes.append(judged.outcome)
            if judged.changes:
                job = stand[report.id] = decisions.after(job, judged.changes | {"version": job.version + 1})
                changed.setdefault(report.id, set()).update(judged.changes)
                told += [(job, news) for news in judged.news]
            refusal = judged.refusal
            answers.append(Refused(refusal.code, refusal.detail, job) if refusal else job)
        _write_several(session, [stand[job_id] for job_id in changed], set().union(*changed.values()))
        _tell(session, told, by)
    _count(told)
    for outcome, times in Counter(outcomes).items():
        metrics.job_updates.labels(outcome).inc(times)
    return answers


def _locked(session: Session, job_ids: Collection[uuid.UUID], within: uuid.UUID) -> dict[uuid.UUID, JobRow]:
    query = sa.select(*_HOT_COLUMNS).where(_job.id.in_(job_ids), _job.workspace_id == within)
    rows = session.execute(query.order_by(_job.id).with_for_update())
    return {job.id: job for job in starmap(JobRow, rows)}


def _write_several(session: Session, jobs: Sequence[JobRow], columns: Collection[str]) -> None:
    """Write these columns of locked rows, with one statement for all."""
    if not jobs:
        return
    written = [*columns, "version"]
    statement = sa.update(_JOBS).where(_job.id == sa.bindparam("key"))
    statement = statement.values({name: sa.bindparam(f"new_{name}") for name in written})
    rows = [{"key": job.id} | {f"new_{name}": getattr(job, name) for name in written} for job in jobs]
    session.connection().execute(statement, rows)


# --- cancel ------------------------------------------------------------------------------------------------------


def cancel_job(job_id: uuid.UUID, *, within: uuid.UUID | None = None, by: Actor = SYSTEM) -> JobRun:
    """Cancel a job, at once in the record; its runner hears of it when it next reports. Again changes nothing.

    Raises ``NotFound``, and ``Refused`` (``job_finished``) when the job has completed or failed.
    """

    def judge(job: JobRow) -> Judgement:
        return decisions.of_cancel(job, by=by.ref, read=clock.now())

    return _loaded(_answered(*_judged(job_id, judge, within=within, by=by, act="job.canceled")))


class CancelOutcome(StrEnum):
    """What became of one job of several that were to be canceled."""

    CANCELED = "canceled"
    ALREADY_CANCELED = "already_canceled"
    FINISHED = "finished"
    NOT_FOUND = "not_found"


CANCEL_BATCH = 500
"""Jobs canceled in one transaction, after which others write."""


def cancel_jobs(job_ids: Iterable[uuid.UUID], *, within: uuid.UUID, by: Actor) -> Mapping[uuid.UUID, CancelOutcome]:
    """Cancel several jobs, each judged alone, and tell what became of each, in the order in which they were named.

    A batch is one transaction with its rows locked in the order of their ids, as in ``update_several``: what another
    writer changed before is judged as it then stands, and no other comes between.
    """
    wanted = list(dict.fromkeys(job_ids))
    outcomes: dict[uuid.UUID, CancelOutcome] = {}
    for start in range(0, len(wanted), CANCEL_BATCH):
        outcomes |= _cancel_batch(wanted[start : start + CANCEL_BATCH], within, by)
    return outcomes


def _cancel_batch(job_ids: Sequence[uuid.UUID], within: uuid.UUID, by: Actor) -> Mapping[uuid.UUID, CancelOutcome]:
    canceled, told, outcomes = [], [], {}
    with write_transaction() as session:
        stand = _locked(session, job_ids, within)
        read = clock.now()
        for job_id in job_ids:
            job = stand.get(job_id)
            judged = decisions.of_cancel(job, by=by.ref, read=read) if job else None
            outcomes[job_id] = _outcome(judged)
            if job and judged and judged.changes:
                job = decisions.after(job, judged.changes | {"version": job.version + 1})
                canceled.append(job)
                told += [(job, news) for news in judged.news]
                audit.record(session, "job.canceled", f"job:{job_id}", by=by, workspace_id=within)
        _write_several(session, canceled, ("status", "updated_at", "canceled_at", "canceled_by", "check_at"))
        _tell(session, told, by)
    _count(told)
    return outcomes


def _outcome(judged: Judgement | None) -> CancelOutcome:
    if judged is None:
        return CancelOutcome.NOT_FOUND
    if judged.refusal:
        return CancelOutcome.FINISHED
    return CancelOutcome.CANCELED if judged.changes else CancelOutcome.ALREADY_CANCELED


# --- what the board itself judges --------------------------------------------------------------------------------


def fail_overdue(found: JobRun, reason: FailureReason, error: str) -> bool:
    """Fail a running job that ran too long or fell silent, unless that is no longer so since it was ``found``.

    Returns whether this call did it.
    """
    check_at, last_seen_at = found.check_at, found.last_seen_at
    while True:
        job = _read(found.id, found.workspace_id)
        spoke = reason is FailureReason.LOST and job.last_seen_at != last_seen_at
        if job.status is not JobStatus.RUNNING or job.check_at != check_at or spoke:
            return False
        judged = decisions.of_verdict(job, reason, error, read=clock.now())
        if _write(job, judged, by=SYSTEM):
            return True


# --- the pieces of a write ---------------------------------------------------------------------------------------


def _judged(
    job_id: uuid.UUID,
    judge: Callable[[JobRow], Judgement],
    *,
    within: uuid.UUID | None,
    by: Actor,
    act: str | None = None,
) -> tuple[JobRow, Judgement]:
    """Judge a job as it stands and write that down; whoever finds that another came between judges anew.

    Returns the job as it stands after that.
    """
    while True:
        job = _read(job_id, within)
        judged = judge(job)
        if judged.changes:
            written = _write(job, judged, by=by, act=act)
            if written is None:
                continue
            job = written
        return job, judged


def _answered(job: JobRow, judged: Judgement) -> JobRow:
    if judged.refusal:
        raise Refused(judged.refusal.code, judged.refusal.detail, job)
    return job


def _read(job_id: uuid.UUID, within: uuid.UUID | None) -> JobRow:
    """The job as it stands, without its payload. Raises ``NotFound``."""
    row = _reading(within is not None).fetch_first(_keys(job_id, within))
    if row is None:
        raise NotFound("There is no such job.")
    return JobRow(*row)


@cache
def _reading(walled: bool) -> CompiledStatement:
    return CompiledStatement(sa.select(*_HOT_COLUMNS).where(_is_meant(walled)), _HOT_COLUMNS)


def _write(job: JobRow, judged: Judgement, *, by: Actor, act: str | None = None) -> JobRow | None:
    """The one conditional UPDATE that decides every race, with its events. Null when the job is no longer as judged.

    ``act`` is what the audit log calls it, if it belongs there.
    """
    if act is None and len(judged.news) == 1 and (written := _write_with_line(job, judged, by)):
        return written
    with write_transaction() as session:
        update = _update_as_judged(frozenset(judged.changes)).returning(*_HOT_COLUMNS)
        row = session.execute(update, _sent_as_judged(job, judged)).first()
        if row is None:
            return None
        written = JobRow(*row)
        told = [(written, news) for news in judged.news]
        _tell(session, told, by)
        if act:
            audit.record(session, act, f"job:{job.id}", by=by, workspace_id=written.workspace_id)
    _count(told)
    return written


def _write_with_line(job: JobRow, judged: Judgement, by: Actor) -> JobRow | None:
    """The same for the most part of all moves: one line of history, of which no endpoint wants to hear.

    Null when the job is no longer as judged, and where an endpoint may want to.
    """
    (news,) = judged.news
    statement = _moving(frozenset(judged.changes), outbox.may_concern(news))
    with write_lock():
        row = statement.fetch_first(_sent_as_judged(job, judged) | prefixed("event", _event(job.id, news, by)))
    if row is None:
        return None
    written = JobRow(*row)
    _count([(written, news)])
    return written


@cache
def _moving(fields: frozenset[str], may_concern: bool) -> CompiledStatement:
    update = _update_as_judged(fields)
    if may_concern:
        update = update.where(outbox.nobody_listens(_job.workspace_id))
    return CompiledStatement(update.returning(*_HOT_COLUMNS), _HOT_COLUMNS, extra_rows=[_EVENT])


def _update_as_judged(fields: frozenset[str]) -> sa.Update:
    changes: dict[str, Any] = {name: sa.bindparam(f"new_{name}", type_=_job[name].type) for name in fields}
    as_judged = _job.id == sa.bindparam("key"), _job.version == sa.bindparam("judged")
    return sa.update(_JOBS).where(*as_judged).values(changes | {"version": _job.version + 1})


def _sent_as_judged(job: JobRow, judged: Judgement) -> dict[str, Any]:
    return {"key": job.id, "judged": job.version} | prefixed("new", judged.changes)


def _keys(job_id: uuid.UUID, within: uuid.UUID | None) -> dict[str, Any]:
    return {"key": job_id, "within": within} if within is not None else {"key": job_id}


def _is_meant(walled: bool) -> sa.ColumnElement[bool]:
    """Whether a row is the job of ``_keys``."""
    meant = _job.id == sa.bindparam("key")
    return meant & (_job.workspace_id == sa.bindparam("within")) if walled else meant


@cache
def _conditional_update(statuses: frozenset[JobStatus], fields: frozenset[str], walled: bool) -> CompiledStatement:
    """The statement of the hot path; building it costs more than running it, so one is kept for each shape."""
    changes: dict[str, Any] = {field: sa.bindparam(field) for field in fields}
    # As in ``judgement``: never before what the job already tells.
    now = sa.bindparam("now", type_=_job.updated_at.type)
    heard = sa.case((_job.updated_at > now, _job.updated_at), else_=now)
    changes |= {"updated_at": heard, "last_seen_at": heard, "version": _job.version + 1}
    # Not by "in", which is a text of its own for each number of statuses.
    stays = sa.or_(*(_job.status == status for status in sorted(statuses)))
    update = sa.update(_JOBS).where(_is_meant(walled), stays).values(changes).returning(*_HOT_COLUMNS)
    return CompiledStatement(update, _HOT_COLUMNS)


def _event(job_id: uuid.UUID, news: News, by: Actor) -> dict[str, Any]:
    """A line of history as a row."""
    return {
        "job_id": job_id,
        "at": news.at,
        "kind": news.kind,
        "from_status": news.start,
        "to_status": news.to,
        "by": by.ref,
        "message": news.message,
    }


_EVENT = extra_row("event", _EVENTS, ("job_id", "at", "kind", "from_status", "to_status", "by", "message"))
"""A line of history that is written together with what it tells."""


def _tell(session: Session, told: Sequence[tuple[JobRow, News]], by: Actor) -> None:
    """Write lines of history, in the transaction of what they tell, and put down for whom they are news."""
    if told:
        session.execute(sa.insert(_EVENTS), [_event(job.id, news, by) for job, news in told])
        outbox.announce(session, told)


def _count(told: Iterable[tuple[JobRow, News]]) -> None:
    """Count the moves among lines of history, once they are written for good."""
    for job, news in told:
        if news.kind is EventKind.MOVED:
            metrics.jobs_moved.labels(news.to).inc()
            if news.to is JobStatus.FAILED:
                metrics.jobs_failed.labels(job.failure_reason).inc()


def _loaded(row: JobRow) -> JobRun:
    """A row as the database session's object; a payload that is missing is loaded when asked for."""
    job = JobRun()
    for name, value in row._asdict().items():
        if name != "payload" or value is not None:
            set_committed_value(job, name, value)
    make_transient_to_detached(job)
    return db.session.merge(job, load=False)
