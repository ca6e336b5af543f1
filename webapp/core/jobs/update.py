"""Takes reports on jobs, and fails those that the board finds overdue: the second of the four verbs."""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from webapp.core import metrics
from webapp.core.audit import SYSTEM, Actor
from webapp.core.errors import MissingScope, NotFound
from webapp.core.jobs import decisions, store
from webapp.core.jobs.decisions import Decide, Decision, JobConflict, make_error, raise_if_refused
from webapp.core.jobs.inputs import BatchedReport, Report
from webapp.core.jobs.read import to_orm
from webapp.core.json_text import measure_json
from webapp.core.lifecycle import FailureReason, JobStatus
from webapp.core.limits import limits, usage
from webapp.core.models import JobRun, JobSnapshot


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
    """Report on a job: its status, its progress (0 to 100), what it produced or why it failed.

    A report without fields is a heartbeat. Raises ``Invalid`` (with every fault), ``NotFound``, and ``JobConflict``
    with the job as it stands when the report contradicts it: ``illegal_transition``, ``job_canceled`` or
    ``job_timed_out`` (stop).
    """
    fields = {
        "status": status,
        "progress": progress,
        "message": message,
        "result": result,
        "error": error,
        "link": link,
        "runner": runner,
        "occurred_at": occurred_at,
    }
    report = Report.parse({name: value for name, value in fields.items() if value is not None})
    return to_orm(apply_report(job_id, report, within=within, by=by))


def _decide_report(report: Report, by: Actor, may_cancel: bool, started_ids: set[uuid.UUID]) -> Decide:
    """Return what decides about a report. ``started_ids``: jobs that ``by`` started, though no event says so yet."""

    def decide(job: JobSnapshot, now: datetime) -> Decision:
        decision = decisions.decide_report(job, report, by=by.ref, now=now)
        if decisions.moves_to(decision, JobStatus.CANCELED):
            is_own = by.ref == job.created_by or job.id in started_ids or store.has_started(job.id, by)
            return decisions.restrict_cancel(decision, is_own=is_own, may_cancel=may_cancel)
        if decisions.moves_to(decision, JobStatus.RUNNING):
            started_ids.add(job.id)
        return decision

    return decide


def _charge(report: Report, workspace_id: uuid.UUID | None) -> None:
    """Count what a report brings as sent. It is taken in any case: a job that ran must not lose its end."""
    if workspace_id is not None and not (report.result is None and report.error is None):
        usage.of_process.charge(
            workspace_id, limits.PAYLOAD_SIZE, measure_json(report.result) + measure_json(report.error)
        )


def apply_report(
    job_id: uuid.UUID, report: Report, *, within: uuid.UUID | None, by: Actor, may_cancel: bool = True
) -> JobSnapshot:
    """Apply a checked report to a job.

    ``may_cancel``: whether ``by`` may end a job as canceled that it neither created nor started. Raises ``NotFound``
    and ``JobConflict``, as ``update_job_status`` does, and ``MissingScope``.
    """
    _charge(report, within)
    if job := store.try_hot_update(job_id, report, within):
        metrics.job_updates.labels("noted").inc()
        return job
    decide = _decide_report(report, by, may_cancel, set())
    try:
        job, decision = store.decide_and_write(job_id, decide, within=within, by=by)
    except NotFound:
        metrics.job_updates.labels("not_found").inc()
        raise
    metrics.job_updates.labels(decision.outcome).inc()
    return raise_if_refused(job, decision)


def apply_reports(
    workspace_id: uuid.UUID, reports: Sequence[BatchedReport], *, by: Actor, may_cancel: bool = True
) -> list[JobSnapshot | NotFound | JobConflict | MissingScope]:
    """Apply checked reports in one transaction, each decided by itself, those of one job in the order given.

    Returns what each would have been answered alone: the job as it then stood, or why not.
    """
    for report in reports:
        _charge(report, workspace_id)
    job_ids = [report.id for report in reports]
    # Each is made at its turn: hundreds of functions kept at once let the garbage collector run twice as often.
    # The events of a batch are written at its end; until then only these ids tell what it has started.
    started_ids: set[uuid.UUID] = set()
    decides = (_decide_report(report, by, may_cancel, started_ids) for report in reports)
    answers: list[JobSnapshot | NotFound | JobConflict | MissingScope] = []
    counts: Counter[str] = Counter()
    for outcome in store.decide_and_write_batch(workspace_id, job_ids, decides, by=by):
        if outcome is None:
            answers.append(NotFound("There is no such job."))
            counts["not_found"] += 1
            continue
        job, decision = outcome
        answers.append(make_error(decision.refusal, job) if decision.refusal else job)
        counts[decision.outcome] += 1
    for name, count in counts.items():
        metrics.job_updates.labels(name).inc(count)
    return answers


def fail_overdue(job: JobRun, reason: FailureReason, error: str) -> bool:
    """Fail a running job that ran too long or fell silent, unless that is no longer so since ``job`` was read.

    Returns whether this call did it. Raises ``NotFound``.
    """
    check_at, last_seen_at = job.check_at, job.last_seen_at

    def decide(current: JobSnapshot, now: datetime) -> Decision:
        has_reported = reason is FailureReason.LOST and current.last_seen_at != last_seen_at
        if current.status is not JobStatus.RUNNING or current.check_at != check_at or has_reported:
            return Decision()
        return decisions.decide_overdue(current, reason, error, now=now)

    _, decision = store.decide_and_write(job.id, decide, within=job.workspace_id, by=SYSTEM)
    return bool(decision.changes)
