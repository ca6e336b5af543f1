"""Writes the rows of jobs and of their history; nobody else does.

Two writers can meet (a cancel against a completion). ``decisions`` says what happens to a job as it stands; one
conditional UPDATE writes that down, with its events, only if the job still stands so. Whoever finds that another came
between decides anew.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import starmap
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock, metrics
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import prefixed
from webapp.core.database.transactions import read_connection, write_lock, write_transaction
from webapp.core.errors import NotFound
from webapp.core.jobs import decisions, error_groups, statements, time_limits
from webapp.core.jobs.decisions import Decide, Decision
from webapp.core.jobs.idempotency import RequestKey
from webapp.core.jobs.inputs import Report
from webapp.core.jobs.statements import SNAPSHOT_COLUMNS
from webapp.core.lifecycle import EventKind, HistoryEvent, JobStatus
from webapp.core.models import (
    JobSnapshot,
    api_tokens,
    idempotency_keys,
    job_events,
    job_runs,
    job_tags,
    log_lines,
    log_tails,
    webhook_endpoints,
)
from webapp.core.webhooks import outbox

JobEvents = Sequence[tuple[JobSnapshot, HistoryEvent]]
"""Events, each with its job as it stands after it."""

_CHILD_TABLES = (job_events, log_lines, log_tails, job_tags, idempotency_keys)
"""What goes with a job. The database would delete it row by row; a statement for a batch is far faster."""
_ERROR_GROUPS_BATCH = 200
"""Errors read at once, of 64 KiB at most each."""


# --- read --------------------------------------------------------------------------------------------------------


def _job_parameters(job_id: uuid.UUID, within: uuid.UUID | None) -> dict[str, Any]:
    return {"job_id": job_id, "within": within} if within is not None else {"job_id": job_id}


def job_exists(workspace_id: uuid.UUID | None, job_id: uuid.UUID) -> bool:
    """Return whether a workspace has a job; a job without a workspace is in none."""
    return (
        statements.select_statement(within_workspace=True).fetch_first({"job_id": job_id, "within": workspace_id})
        is not None
    )


def _select_job(job_id: uuid.UUID, within: uuid.UUID | None) -> JobSnapshot:
    """Return the job as it stands, without its payload. Raises ``NotFound``."""
    row = statements.select_statement(within is not None).fetch_first(_job_parameters(job_id, within))
    if row is None:
        raise NotFound("There is no such job.")
    return JobSnapshot(*row)


def has_started(job_id: uuid.UUID, by: Actor) -> bool:
    """Return whether this actor has moved a job to running, ever."""
    event = job_events.c
    started = event.job_id == job_id, event.to_status == JobStatus.RUNNING, event.by == by.ref
    return bool(db.session.scalar(sa.select(sa.exists().where(*started))))


def _lock_jobs(
    session: Session, workspace_id: uuid.UUID, job_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, JobSnapshot]:
    """Lock jobs in the order of their ids, so that two batches never wait for each other in a circle."""
    query = sa.select(*SNAPSHOT_COLUMNS).where(job_runs.c.id.in_(job_ids), job_runs.c.workspace_id == workspace_id)
    rows = session.execute(query.order_by(job_runs.c.id).with_for_update())
    return {job.id: job for job in starmap(JobSnapshot, rows)}


# --- history -----------------------------------------------------------------------------------------------------


def _event_row(job_id: uuid.UUID, event: HistoryEvent, by: Actor) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "at": event.at,
        "kind": event.kind,
        "from_status": event.from_status,
        "to_status": event.to_status,
        "by": by.ref,
        "message": event.message,
    }


def _write_events(session: Session, events: JobEvents, by: Actor) -> None:
    """Write events in the transaction that changes their jobs, and the messages to webhooks about them."""
    if events:
        events = _put_in_order(session, events)
        session.execute(sa.insert(job_events), [_event_row(job.id, event, by) for job, event in events])
        outbox.enqueue_deliveries(session, events)


def _put_in_order(session: Session, events: JobEvents) -> JobEvents:
    """Return events whose times are not before those that their jobs' histories have already.

    What happened before the board lost a job, and is reported late, stands behind that all the same.
    """
    late_ids = {job.id for job, event in events if decisions.may_precede_history(job, event)}
    if not late_ids:
        return events
    column = job_events.c
    newest_ids = sa.select(sa.func.max(column.id)).where(column.job_id.in_(late_ids)).group_by(column.job_id)
    newest = session.execute(sa.select(column.job_id, column.at).where(column.id.in_(newest_ids)))
    latest = {row.job_id: row.at for row in newest}
    in_order = []
    for job, event in events:
        if job.id in latest:
            latest[job.id] = max(event.at, latest[job.id])
            event = replace(event, at=latest[job.id])
        in_order.append((job, event))
    return in_order


def _count_moves(events: Iterable[tuple[JobSnapshot, HistoryEvent]]) -> None:
    """Count the moves among events, once they are committed."""
    for job, event in events:
        if event.kind is EventKind.MOVED:
            metrics.jobs_moved.labels(event.to_status).inc()
            if event.to_status is JobStatus.FAILED:
                metrics.jobs_failed.labels(job.failure_reason).inc()


# --- create ------------------------------------------------------------------------------------------------------


def insert_job(values: Mapping[str, Any], request_key: RequestKey | None, *, by: Actor) -> dict[str, Any]:
    """Write a pending job with its event, tags and key. Returns its id and the limits that its workspace gave it.

    Jobs are looked up by tag within a workspace; one without a workspace only carries its list. Raises
    ``IntegrityError`` when the parent, the workspace or the key stands against it.
    """
    job_id, workspace_id = values["id"], values["workspace_id"]
    limits_left_out = tuple(name for name in time_limits.COLUMNS if values[name] is None)
    tags = values["tags"] if workspace_id is not None else ()
    request_key = request_key if workspace_id is not None else None
    event = HistoryEvent(EventKind.ENQUEUED, values["created_at"], to_status=JobStatus.PENDING)
    parameters = prefixed("new", {name: value for name, value in values.items() if name not in limits_left_out})
    parameters |= {"of_workspace": workspace_id, "of_type": values["type"]}
    parameters |= prefixed("event", _event_row(job_id, event, by))
    for number, tag in enumerate(tags):
        parameters |= prefixed(f"tag{number}", {"workspace_id": workspace_id, "tag": tag, "job_id": job_id})
    if request_key:
        parameters |= prefixed("key", request_key.values(workspace_id, job_id))
    statement = statements.insert_statement(limits_left_out, len(tags), request_key is not None)
    with write_lock():
        row = statement.fetch_first(parameters)
    return dict(zip(("id", *limits_left_out), row or (), strict=True))


def insert_past(
    jobs: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], tags: Sequence[Mapping[str, Any]]
) -> None:
    """Write the rows of jobs that are past with those of their history and their tags, in one transaction.

    No webhook is sent: none of it is news.
    """
    with write_transaction() as session:
        # Apart from the session's own machinery, which would cost more than the database does.
        connection = session.connection()
        for table, rows in ((job_runs, jobs), (job_events, events), (job_tags, tags)):
            if rows:
                connection.execute(sa.insert(table), rows)


# --- update one --------------------------------------------------------------------------------------------------


def try_hot_update(job_id: uuid.UUID, report: Report, within: uuid.UUID | None) -> JobSnapshot | None:
    """Apply a report that changes no status, in one statement without an event: the hot path.

    Returns ``None`` when the job is in none of the statuses that the report leaves as they are.
    """
    statuses = decisions.statuses_unchanged_by(report)
    if not statuses:
        return None
    content = report.content
    statement = statements.hot_update_statement(statuses, frozenset(content), within is not None)
    with write_lock():
        row = statement.fetch_first(_job_parameters(job_id, within) | content | {"now": clock.now()})
    return JobSnapshot(*row) if row else None


def decide_and_write(
    job_id: uuid.UUID, decide: Decide, *, within: uuid.UUID | None, by: Actor
) -> tuple[JobSnapshot, Decision]:
    """Decide about a job as it stands and write that down; whoever finds that another came between decides anew.

    Returns the job as it then stands. Raises ``NotFound``.
    """
    while True:
        job = _select_job(job_id, within)
        decision = decide(job, clock.now())
        if not decision.changes:
            return job, decision
        if written := _write_decision(job, decision, by=by):
            return written, decision


def _write_decision(job: JobSnapshot, decision: Decision, *, by: Actor) -> JobSnapshot | None:
    """Write a decision by the one conditional UPDATE that decides every race. ``None`` when the job has changed."""
    if _is_short(job, decision) and (written := _write_without_webhooks(job, decision, by)):
        return written
    with write_transaction() as session:
        update = statements.update_if_unchanged(frozenset(decision.changes))
        row = session.execute(update, _decision_parameters(job, decision)).first()
        if row is None:
            return None
        written = JobSnapshot(*row)
        events = [(written, event) for event in decision.events]
        _write_events(session, events, by)
        _record_action(session, job.id, decision, written.workspace_id, by)
    _count_moves(events)
    return written


def _is_short(job: JobSnapshot, decision: Decision) -> bool:
    """Return whether one statement may write a decision: with one event, and nothing to be read or told beside it."""
    if decision.audit_action is not None or len(decision.events) != 1:
        return False
    return not decisions.may_precede_history(job, decision.events[0])


def _write_without_webhooks(job: JobSnapshot, decision: Decision, by: Actor) -> JobSnapshot | None:
    """Write a decision and its one event in one statement, as most moves are.

    ``None`` when the job has changed, and where an endpoint may want a message: both are for the caller to find out, by
    the statement that knows the difference.
    """
    (event,) = decision.events
    statement = statements.transition_statement(frozenset(decision.changes), outbox.may_notify(event))
    with write_lock():
        row = statement.fetch_first(
            _decision_parameters(job, decision) | prefixed("event", _event_row(job.id, event, by))
        )
    if row is None:
        return None
    written = JobSnapshot(*row)
    _count_moves([(written, event)])
    return written


def _record_action(
    session: Session, job_id: uuid.UUID, decision: Decision, workspace_id: uuid.UUID | None, by: Actor
) -> None:
    if decision.audit_action:
        audit.record(session, decision.audit_action, f"job:{job_id}", by=by, workspace_id=workspace_id)


def _decision_parameters(job: JobSnapshot, decision: Decision) -> dict[str, Any]:
    return {"job_id": job.id, "seen_version": job.version} | prefixed("new", decision.changes)


# --- update several ----------------------------------------------------------------------------------------------


def decide_and_write_batch(
    workspace_id: uuid.UUID,
    job_ids: Sequence[uuid.UUID],
    decides: Iterable[Decide],
    *,
    by: Actor,
) -> list[tuple[JobSnapshot, Decision] | None]:
    """Decide about several jobs in one transaction, each by itself; a job may stand among them several times.

    ``decides`` are as many as ``job_ids``, in the same order. Returns for each the job as it then stood with the
    decision, or ``None`` where the workspace has no such job. The rows are locked: what another writer changed before
    is decided on as it then stands, and no other comes between.
    """
    outcomes: list[tuple[JobSnapshot, Decision] | None] = []
    changed: dict[uuid.UUID, JobSnapshot] = {}
    columns: set[str] = set()
    events: list[tuple[JobSnapshot, HistoryEvent]] = []
    with write_transaction() as session:
        jobs = _lock_jobs(session, workspace_id, set(job_ids))
        now = clock.now()
        for job_id, decide in zip(job_ids, decides, strict=True):
            job = jobs.get(job_id)
            if job is None:
                outcomes.append(None)
                continue
            decision = decide(job, now)
            if decision.changes:
                job = decisions.apply_changes(job, decision.changes | {"version": job.version + 1})
                jobs[job_id] = changed[job_id] = job
                columns |= decision.changes.keys()
                events += [(job, event) for event in decision.events]
                _record_action(session, job_id, decision, workspace_id, by)
            outcomes.append((job, decision))
        _update_locked(session, list(changed.values()), columns)
        _write_events(session, events, by)
    _count_moves(events)
    return outcomes


def _update_locked(session: Session, jobs: Sequence[JobSnapshot], columns: Collection[str]) -> None:
    """Write these columns of locked rows, with one statement for all."""
    if not jobs:
        return
    names = [*columns, "version"]
    statement = sa.update(job_runs).where(job_runs.c.id == sa.bindparam("job_id"))
    statement = statement.values({name: sa.bindparam(f"new_{name}") for name in names})
    rows = [{"job_id": job.id} | {f"new_{name}": getattr(job, name) for name in names} for job in jobs]
    session.connection().execute(statement, rows)


# --- for heartbeats of the server ---------------------------------------------------------------------------------


_WRITTEN_BY_REPORTS = (job_runs, job_events, log_tails, log_lines)
_READ_BY_REPORTS = (api_tokens, webhook_endpoints)


def require_reports_possible() -> None:
    """Find out that a report or a log line could be taken now. Raises ``OperationalError`` while a table is locked.

    A statement that concerns no row waits for the lock of its table all the same. Each is a transaction by itself, so
    that no lock is held while the next is waited for. SQLite locks no table, but the whole file.
    """
    if db.engine.dialect.name != "postgresql":
        return
    with read_connection() as connection:
        for table in _READ_BY_REPORTS:
            connection.execute(sa.select(sa.literal(1)).select_from(table).where(sa.false()))
        for table in _WRITTEN_BY_REPORTS:
            column = next(iter(table.c))
            connection.execute(sa.update(table).where(sa.false()).values({column: column}))


# --- for logs and chores -----------------------------------------------------------------------------------------


def touch_running(session: Session, job_id: uuid.UUID, now: datetime) -> None:
    """Let a job count as seen, if it is running, in the caller's transaction."""
    is_running = job_runs.c.id == job_id, job_runs.c.status == JobStatus.RUNNING
    session.execute(sa.update(job_runs).where(*is_running).values(statements.touch_columns()), {"now": now})


def reschedule_checks(checks: Sequence[tuple[uuid.UUID, datetime | None, datetime]]) -> None:
    """Set when the board checks jobs next: id, the time that was set when it was read, and the new one.

    A job whose time was changed since keeps that.
    """
    if not checks:
        return
    statement = (
        sa.update(job_runs)
        .where(job_runs.c.id == sa.bindparam("job_id"), job_runs.c.check_at == sa.bindparam("seen_check_at"))
        .values(check_at=sa.bindparam("next_check_at"))
    )
    rows = [{"job_id": job_id, "seen_check_at": seen, "next_check_at": check_at} for job_id, seen, check_at in checks]
    with write_transaction() as session:
        session.connection().execute(statement, rows)


def add_missing_error_groups() -> int:
    """Give a batch of failed jobs without an error group theirs, and return how many these were.

    A server of a release before error groups, which may still run beside this one during an upgrade, writes none.
    """
    job = job_runs.c
    is_missing = job.status == JobStatus.FAILED, job.error_group.is_(None)
    with read_connection() as connection:
        rows = connection.execute(
            sa.select(job.id, job.type, job.error).where(*is_missing).limit(_ERROR_GROUPS_BATCH)
        ).all()
    if rows:
        # A job that runs again meanwhile has no error, and one that then failed again has a group.
        update = sa.update(job_runs).where(job.id == sa.bindparam("job_id"), *is_missing)
        update = update.values(error_group=sa.bindparam("new_error_group"), version=job.version + 1)
        groups = [
            {"job_id": row.id, "new_error_group": error_groups.make_fingerprint(row.type, row.error)} for row in rows
        ]
        with write_transaction() as session:
            session.connection().execute(update, groups)
    return len(rows)


def delete_jobs(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """Delete jobs with all that is theirs, within a transaction that has locked them."""
    for table in _CHILD_TABLES:
        session.execute(sa.delete(table).where(table.c.job_id.in_(job_ids)))
    # A child that stays has changed: whoever holds its former version must see that.
    orphaned = sa.update(job_runs).where(job_runs.c.parent_id.in_(job_ids), job_runs.c.id.not_in(job_ids))
    session.execute(orphaned.values(parent_id=None, version=job_runs.c.version + 1))
    session.execute(sa.delete(job_runs).where(job_runs.c.id.in_(job_ids)))
