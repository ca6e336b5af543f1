"""The four verbs of a job: enqueue, update, get, cancel. The only writer of ``status``.

Two writers can meet (a cancel against a completion), so no move is read first and written then: one conditional
UPDATE decides it, and its event is written in the same transaction. Whoever loses is told how the job stands.

``enqueue_job``, ``update_job_status``, ``get_job_status`` and ``cancel_job`` are for Python code in this process.
The doors, which check a body as a whole, hand it to ``enqueue`` and ``update``. ``within`` is the workspace that the
asker may see; a job elsewhere is not found. Only in-process code and the command line may leave it out.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from webapp.core import audit, clock
from webapp.core.audit import SYSTEM, Actor
from webapp.core.database import compact_json, one_write, writing
from webapp.core.errors import Fault, Invalid, NotFound, Refused
from webapp.core.lifecycle import FINAL, REVIVABLE, EventKind, FailureReason, JobStatus, predecessors
from webapp.core.models import Base, JobEvent, JobRun, JobTag, new_id
from webapp.core.reports import NewJob, Report
from webapp.extensions import db

_JOBS = Base.metadata.tables[JobRun.__tablename__]
_EVENTS = Base.metadata.tables[JobEvent.__tablename__]
_TAGS = Base.metadata.tables[JobTag.__tablename__]
_job = _JOBS.c
_HOT_COLUMNS = [column for column in _job if column.name != "payload"]
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


def enqueue(new: NewJob, *, workspace_id: uuid.UUID | None, by: Actor) -> JobRun:
    """Create a pending job from a checked body, with its ``enqueued`` event. Raises as ``enqueue_job`` does."""
    now = clock.now()
    tags = list(dict.fromkeys(new.tags or ()))
    job_id = new_id(now)
    values: dict[str, Any] = dict.fromkeys(_job.keys()) | {
        "id": job_id,
        "type": new.type,
        "status": JobStatus.PENDING,
        "payload": new.payload,
        "progress": 0,
        "workspace_id": workspace_id,
        "created_by": by.ref,
        "created_at": now,
        "updated_at": now,
        "tags": tags,
        "link": new.link,
        "runner": new.runner,
        "max_duration": new.max_duration,
        "heartbeat_timeout": new.heartbeat_timeout,
        "parent_id": new.parent_id,
        "version": 1,
    }
    try:
        with writing() as session:
            if new.parent_id is not None and not _stands_in(session, new.parent_id, workspace_id):
                raise Invalid([Fault(("parent_id",), "There is no such job in this workspace.")])
            session.execute(sa.insert(_JOBS), values)
            # Jobs are found by tag within a workspace; one without a workspace only carries its list.
            if tags and workspace_id is not None:
                session.execute(
                    sa.insert(_TAGS),
                    [{"workspace_id": workspace_id, "tag": tag, "job_id": job_id} for tag in tags],
                )
            _tell(session, job_id, EventKind.ENQUEUED, at=now, by=by, to=JobStatus.PENDING)
    except IntegrityError:
        raise NotFound("There is no such workspace.") from None
    return _loaded(values)


def _stands_in(session: Session, job_id: uuid.UUID, workspace_id: uuid.UUID | None) -> bool:
    return session.scalar(sa.select(_job.id).where(_job.id == job_id, _job.workspace_id == workspace_id)) is not None


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
    return update(job_id, report, within=within, by=by)


def update(job_id: uuid.UUID, report: Report, *, within: uuid.UUID | None, by: Actor) -> JobRun:
    """Apply a checked report to a job. Raises ``NotFound`` and ``Refused``, as ``update_job_status`` does."""
    while True:
        job = _stay(job_id, report, within) or _move(job_id, report, within, by) or _judge(job_id, report, within, by)
        if job is not None:
            return job


def _stays_in(report: Report) -> frozenset[JobStatus]:
    """The statuses in which this report changes what is stored, but not the status."""
    touches_progress = report.progress is not None or report.result is not None
    waiting = frozenset() if touches_progress else frozenset({JobStatus.PENDING})
    match report.status:
        case None:
            return waiting | {JobStatus.RUNNING}
        case JobStatus.RUNNING:
            return frozenset({JobStatus.RUNNING})
        case JobStatus.PENDING:
            return waiting
        case _:
            return frozenset()


def _moves_from(report: Report) -> frozenset[JobStatus]:
    """The statuses that this report may end."""
    return predecessors(report.status) if report.status else frozenset()


def _stay(job_id: uuid.UUID, report: Report, within: uuid.UUID | None) -> JobRun | None:
    """The hot path: one statement, no event. Null when the job is in none of the statuses that the report fits."""
    statuses = _stays_in(report)
    if not statuses:
        return None
    content = report.content
    statement = _conditional_update(statuses, frozenset(content), within is not None)
    with one_write() as connection:
        row = connection.execute(statement, _keys(job_id, within) | content | {"at": clock.now()}).first()
    return _loaded(row) if row else None


def _move(job_id: uuid.UUID, report: Report, within: uuid.UUID | None, by: Actor) -> JobRun | None:
    """A change of status and its event. Null when the job is in none of the statuses that the report may end."""
    if not _moves_from(report):
        return None
    with writing() as session:
        row = _move_within(session, job_id, report, within, by)
    return _loaded(row) if row else None


def _move_within(
    session: Session, job_id: uuid.UUID, report: Report, within: uuid.UUID | None, by: Actor
) -> Row[Any] | None:
    read = clock.now()
    now = _not_before_the_last(read)
    late = report.occurred_at is not None and report.occurred_at < read
    happened = _not_before(_job.created_at, report.occurred_at) if late else now
    changes = report.content | _heard(now) | {"status": report.status}
    match report.status:
        case JobStatus.RUNNING:
            changes |= {"started_at": sa.func.coalesce(_job.started_at, happened), "check_at": _soon_if_limited(now)}
        case JobStatus.COMPLETED:
            changes = {"progress": 100} | changes | {"completed_at": happened, "check_at": None}
        case JobStatus.FAILED:
            changes |= {"completed_at": happened, "failure_reason": FailureReason.ERROR, "check_at": None}
        case JobStatus.CANCELED:
            changes |= {"canceled_by": by.ref, "check_at": None}
            changes |= dict.fromkeys(("canceled_at", "cancel_seen_at", "cancel_confirmed_at"), now)
    row = _write(session, job_id, within, _job.status.in_(_moves_from(report)), changes)
    if row:
        _tell_move(session, row, by=by, message=report.message)
    return row


def _judge(job_id: uuid.UUID, report: Report, within: uuid.UUID | None, by: Actor) -> JobRun | None:
    """No UPDATE fitted: say why. Null when the job has moved on meanwhile to where the report fits."""
    job = get_job_status(job_id, within=within)
    if job.status in _stays_in(report) | _moves_from(report):
        return None
    if job.status is JobStatus.CANCELED:
        return _hear_of_cancel(job, report, by)
    if job.failure_reason is REVIVABLE and JobStatus.RUNNING in _stays_in(report) | _moves_from(report):
        return _revive(job, report, by)
    if job.failure_reason is FailureReason.TIMED_OUT:
        raise Refused("job_timed_out", "The job ran longer than its max_duration and the board failed it: stop.", job)
    if job.status in FINAL and job.failure_reason is not REVIVABLE and _repeats(job, report):
        return job
    raise Refused("illegal_transition", _contradiction(job), job)


def _contradiction(job: JobRun) -> str:
    if job.status is JobStatus.PENDING:
        return "The job is pending: report status running first."
    return f"The job is {job.status}, which this report contradicts."


def _repeats(job: JobRun, report: Report) -> bool:
    """Whether a report on a finished job says nothing new: a runner that retries is not in error."""
    content = report.content
    if report.status is None:
        return not content
    return report.status is job.status and all(_same(getattr(job, name), sent) for name, sent in content.items())


def _same(stored: object, sent: object) -> bool:
    """Equality as JSON means it: 1 is not true, and the order of keys does not count."""
    return compact_json(stored, sort_keys=True) == compact_json(sent, sort_keys=True)


def _revive(job: JobRun, report: Report, by: Actor) -> JobRun | None:
    """A lost job whose runner speaks again runs on, and hears the report, in one transaction."""
    now = _not_before_the_last(clock.now())
    lost = sa.and_(_job.status == JobStatus.FAILED, _job.failure_reason == REVIVABLE)
    running = dict.fromkeys(("completed_at", "failure_reason", "error"))
    running |= _heard(now) | {"status": JobStatus.RUNNING, "check_at": _soon_if_limited(now)}
    if JobStatus.RUNNING in _stays_in(report):
        running |= report.content
    with writing() as session:
        row = _write(session, job.id, job.workspace_id, lost, running)
        if row is None:
            return None
        _tell(
            session, job.id, EventKind.MOVED, at=row.updated_at, by=by, start=JobStatus.FAILED, to=JobStatus.RUNNING,
            message="The runner spoke again.",
        )  # fmt: skip
        if JobStatus.RUNNING in _moves_from(report):
            row = _move_within(session, job.id, report, job.workspace_id, by)
    return _loaded(row) if row else None


def _hear_of_cancel(job: JobRun, report: Report, by: Actor) -> JobRun:
    """A report on a canceled job: it confirms that the runner stopped, or it tells that the runner heard only now."""
    now = _not_before_the_last(clock.now())
    canceled = _job.status == JobStatus.CANCELED
    confirms = report.status is JobStatus.CANCELED and report.content.keys() <= {"message"}
    with writing() as session:
        if confirms:
            changes = report.content | _heard(now) | {"cancel_confirmed_at": now}
            changes |= {"cancel_seen_at": sa.func.coalesce(_job.cancel_seen_at, now)}
            row = _write(session, job.id, job.workspace_id, canceled & _job.cancel_confirmed_at.is_(None), changes)
            if row:
                _tell(session, job.id, EventKind.CANCEL_CONFIRMED, at=row.updated_at, by=by, message=report.message)
        else:
            changes = _heard(now) | {"cancel_seen_at": now}
            row = _write(session, job.id, job.workspace_id, canceled & _job.cancel_seen_at.is_(None), changes)
            if row:
                _tell(session, job.id, EventKind.CANCEL_SEEN, at=row.updated_at, by=by)
            if report.status in (JobStatus.COMPLETED, JobStatus.FAILED):
                changes = _heard(now) | {"finish_refused": report.status}
                row = _write(session, job.id, job.workspace_id, canceled & _job.finish_refused.is_(None), changes)
                if row:
                    _tell(
                        session, job.id, EventKind.REFUSED, at=row.updated_at, by=by, to=report.status,
                        message=report.message,
                    )  # fmt: skip
    job = get_job_status(job.id, within=job.workspace_id)
    if confirms:
        return job
    raise Refused("job_canceled", "The job was canceled: stop.", job)


# --- cancel ------------------------------------------------------------------------------------------------------


def cancel_job(job_id: uuid.UUID, *, within: uuid.UUID | None = None, by: Actor = SYSTEM) -> JobRun:
    """Cancel a job, at once in the record; its runner hears of it when it next reports. Again changes nothing.

    Raises ``NotFound``, and ``Refused`` (``job_finished``) when the job has completed or failed.
    """
    return _cancel(job_id, within, by) or _canceled_before(job_id, within)


class CancelOutcome(StrEnum):
    """What became of one job of several that were to be canceled."""

    CANCELED = "canceled"
    ALREADY_CANCELED = "already_canceled"
    FINISHED = "finished"
    NOT_FOUND = "not_found"


def cancel_jobs(job_ids: Iterable[uuid.UUID], *, within: uuid.UUID, by: Actor) -> Counter[CancelOutcome]:
    """Cancel several jobs, each by itself, and count what became of them."""
    return Counter(_outcome(job_id, within, by) for job_id in dict.fromkeys(job_ids))


def _outcome(job_id: uuid.UUID, within: uuid.UUID, by: Actor) -> CancelOutcome:
    try:
        if _cancel(job_id, within, by):
            return CancelOutcome.CANCELED
        _canceled_before(job_id, within)
    except Refused:
        return CancelOutcome.FINISHED
    except NotFound:
        return CancelOutcome.NOT_FOUND
    return CancelOutcome.ALREADY_CANCELED


def _cancel(job_id: uuid.UUID, within: uuid.UUID | None, by: Actor) -> JobRun | None:
    """Null when the job is in no status that a cancel may end."""
    now = _not_before_the_last(clock.now())
    changes = {"status": JobStatus.CANCELED, "canceled_at": now, "canceled_by": by.ref, "check_at": None}
    with writing() as session:
        row = _write(
            session, job_id, within, _job.status.in_(predecessors(JobStatus.CANCELED)), changes | _touched(now)
        )
        if row:
            _tell_move(session, row, by=by)
            audit.record(session, "job.canceled", f"job:{job_id}", by=by, workspace_id=row.workspace_id)
    return _loaded(row) if row else None


def _canceled_before(job_id: uuid.UUID, within: uuid.UUID | None) -> JobRun:
    job = get_job_status(job_id, within=within)
    if job.status is not JobStatus.CANCELED:
        raise Refused("job_finished", f"The job had already {job.status} and cannot be canceled.", job)
    return job


# --- what the board itself judges --------------------------------------------------------------------------------


def fail_overdue(job: JobRun, reason: FailureReason, error: str) -> bool:
    """Fail a running job that ran too long or fell silent, unless it has spoken since it was read.

    Returns whether this call did it.
    """
    now = _not_before_the_last(clock.now())
    unchanged = sa.and_(_job.status == JobStatus.RUNNING, _job.check_at == job.check_at)
    if reason is FailureReason.LOST:
        unchanged &= _job.last_seen_at == job.last_seen_at
    changes = {"status": JobStatus.FAILED, "failure_reason": reason, "error": error, "completed_at": now}
    with writing() as session:
        row = _write(session, job.id, None, unchanged, changes | {"check_at": None} | _touched(now))
        if row:
            _tell_move(session, row, by=SYSTEM, message=error)
    return row is not None


# --- the pieces of a write ---------------------------------------------------------------------------------------


Moment = sa.ColumnElement[datetime]


def _not_before(bound: Moment, at: datetime | None) -> Moment:
    """A moment, or the bound where that is later; a null moment is bound when the statement runs, as ``at``."""
    moment: Moment = sa.bindparam("at", at, bound.type, required=at is None, unique=at is not None)
    return sa.case((bound > moment, bound), else_=moment)


def _not_before_the_last(at: datetime | None) -> Moment:
    """The time of a write: the clock's, but never before what the job already tells.

    Writers read the clock and then wait for each other, and several machines have several clocks; a job's history must
    not run backwards for that.
    """
    return _not_before(_job.updated_at, at)


def _touched(now: Moment) -> dict[str, Any]:
    return {"updated_at": now, "version": _job.version + 1}


def _heard(now: Moment) -> dict[str, Any]:
    """What every word of a runner changes."""
    return _touched(now) | {"last_seen_at": now}


def _soon_if_limited(now: Moment) -> sa.ColumnElement[datetime | None]:
    """Let the next sweep set the time of the next look, in Python: engines differ in adding seconds to a moment."""
    limited = sa.or_(_job.max_duration.is_not(None), _job.heartbeat_timeout.is_not(None))
    return sa.case((limited, now), else_=sa.null())


def _keys(job_id: uuid.UUID, within: uuid.UUID | None) -> dict[str, Any]:
    return {"key": job_id, "within": within} if within is not None else {"key": job_id}


@cache
def _conditional_update(statuses: frozenset[JobStatus], fields: frozenset[str], walled: bool) -> sa.Update:
    """The statement of the hot path; building it costs more than running it, so one is kept for each shape."""
    condition = sa.and_(_job.id == sa.bindparam("key"), _job.status.in_(statuses))
    if walled:
        condition &= _job.workspace_id == sa.bindparam("within")
    changes: dict[str, Any] = {field: sa.bindparam(field) for field in fields}
    changes |= _heard(_not_before_the_last(None))
    return sa.update(_JOBS).where(condition).values(changes).returning(*_HOT_COLUMNS)


def _write(
    session: Session,
    job_id: uuid.UUID,
    within: uuid.UUID | None,
    condition: sa.ColumnElement[bool],
    changes: Mapping[str, Any],
) -> Row[Any] | None:
    """One conditional UPDATE; the row as it now stands, or null when the condition did not hold."""
    if within is not None:
        condition &= _job.workspace_id == within
    statement = sa.update(_JOBS).where(_job.id == job_id, condition).values(changes)
    return session.execute(statement.returning(*_HOT_COLUMNS)).first()


def _tell_move(session: Session, row: Row[Any], *, by: Actor, message: str | None = None) -> None:
    """The ``moved`` event of a row that has just left pending or running."""
    # The row as it now stands still tells what it left: only the first move to running sets started_at, and nothing
    # clears it, so what ends with it was running and what ends without it was pending. A revived job, which ran
    # before, has its event told by _revive.
    started_now = row.status is JobStatus.RUNNING
    start = JobStatus.PENDING if started_now or row.started_at is None else JobStatus.RUNNING
    at = row.started_at if started_now else row.completed_at or row.canceled_at
    _tell(session, row.id, EventKind.MOVED, at=at, by=by, start=start, to=row.status, message=message)


def _tell(
    session: Session,
    job_id: uuid.UUID,
    kind: EventKind,
    *,
    at: datetime,
    by: Actor,
    start: JobStatus | None = None,
    to: JobStatus | None = None,
    message: str | None = None,
) -> None:
    event = {"job_id": job_id, "at": at, "kind": kind, "from_status": start, "to_status": to}
    session.execute(sa.insert(_EVENTS).values(event | {"by": by.ref, "message": message}))


def _loaded(found: Mapping[str, Any] | Row[Any]) -> JobRun:
    """A row that a statement gave back, as the session's object; what is missing is loaded when asked for."""
    job = JobRun()
    for name, value in (found if isinstance(found, Mapping) else found._mapping).items():
        set_committed_value(job, name, value)
    make_transient_to_detached(job)
    return db.session.merge(job, load=False)
