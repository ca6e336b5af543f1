"""Decides what a report of a runner, a cancel, or a time-out does to a job.

Nothing here reads or writes: a job as it stands goes in, and out comes what changes, which events its history gets,
and what is refused. ``store`` writes that down, and only if the job still stands as it did.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from webapp.core.errors import Conflict, MissingScope
from webapp.core.jobs import error_groups
from webapp.core.jobs.inputs import Report
from webapp.core.json_text import canonical_json
from webapp.core.lifecycle import (
    FINAL,
    REVIVABLE_REASON,
    SUCCESSORS,
    EventKind,
    FailureReason,
    HistoryEvent,
    JobStatus,
    predecessors,
)
from webapp.core.models import JobSnapshot


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a report or a cancel is refused: the machine's word for it, and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What changes (columns and values), which events the history gets, and what is refused.

    A refusal may change the job too. ``audit_action`` is what the audit log calls it, if it belongs there.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    events: tuple[HistoryEvent, ...] = ()
    refusal: Refusal | None = None
    audit_action: str | None = None

    @property
    def outcome(self) -> str:
        """Return one word: the code of the refusal, ``moved``, ``noted`` (something else changed), ``repeated``."""
        if self.refusal:
            return self.refusal.code
        if any(event.kind is EventKind.MOVED for event in self.events):
            return "moved"
        return "noted" if self.changes else "repeated"


MISSING_SCOPE = "missing_scope"
CANCELED_ACTION = "job.canceled"

Decide = Callable[[JobSnapshot, datetime], Decision]
"""Decides what happens to a job as it stands, at a time on the clock."""


class JobConflict(Conflict):
    """A report or a cancel contradicts the job; ``job`` is the job as it stands."""

    def __init__(self, refusal: Refusal, job: JobSnapshot) -> None:
        super().__init__(refusal.code, refusal.detail)
        self.job = job


def raise_if_refused(job: JobSnapshot, decision: Decision) -> JobSnapshot:
    """Return the job as it stands after a decision. Raises the error of ``make_error`` if that was a refusal."""
    if decision.refusal:
        raise make_error(decision.refusal, job)
    return job


def make_error(refusal: Refusal, job: JobSnapshot) -> JobConflict | MissingScope:
    """Return the error that a refusal is answered with; only a conflict tells of the job."""
    return MissingScope(refusal.detail) if refusal.code == MISSING_SCOPE else JobConflict(refusal, job)


# --- pieces ------------------------------------------------------------------------------------------------------


def apply_changes(job: JobSnapshot, changes: dict[str, Any]) -> JobSnapshot:
    """Return the job as it stands after these changes."""
    return job._replace(**changes)


def not_before_last_update(job: JobSnapshot, now: datetime) -> datetime:
    """Return the time of a change: the clock's, but never before the job's last update.

    Writers read the clock and then wait for each other, and several machines have several clocks; a job's history must
    not run backwards for that. ``statements`` has the same rule in SQL.
    """
    return max(now, job.updated_at)


def _touch(at: datetime) -> dict[str, Any]:
    """Return what every report of a runner changes."""
    return {"updated_at": at, "last_seen_at": at}


def _first_check(job: JobSnapshot, *, started_at: datetime, now: datetime) -> datetime | None:
    """Return when the board must first check whether a job that runs from now on ran too long or fell silent."""
    checks = []
    if job.max_duration is not None:
        checks.append(started_at + timedelta(seconds=job.max_duration))
    if job.heartbeat_timeout is not None:
        checks.append(now + timedelta(seconds=job.heartbeat_timeout))
    return min(checks, default=None)


# --- a report ----------------------------------------------------------------------------------------------------


def statuses_unchanged_by(report: Report) -> frozenset[JobStatus]:
    """Return the statuses in which a report changes what is stored, but not the status."""
    touches_progress = report.progress is not None or report.result is not None
    pending = frozenset() if touches_progress else frozenset({JobStatus.PENDING})
    match report.status:
        case None:
            return pending | {JobStatus.RUNNING}
        case JobStatus.RUNNING:
            return frozenset({JobStatus.RUNNING})
        case JobStatus.PENDING:
            return pending
        case _:
            return frozenset()


def _statuses_moved_by(report: Report) -> frozenset[JobStatus]:
    return predecessors(report.status) if report.status else frozenset()


def decide_report(job: JobSnapshot, report: Report, *, by: str, now: datetime) -> Decision:
    """Decide what a report does, sent by ``by`` and read at the time ``now``: the PATCH table of the API."""
    at = not_before_last_update(job, now)
    if job.status in statuses_unchanged_by(report):
        return Decision(report.content | _touch(at))
    if job.status in _statuses_moved_by(report):
        return _move(job, report, by=by, at=at, now=now)
    if job.status is JobStatus.CANCELED:
        return _confirm_cancel(job, report, at) if _confirms_cancel(report) else _refuse_after_cancel(job, report, at)
    if job.failure_reason is REVIVABLE_REASON and JobStatus.RUNNING in (
        statuses_unchanged_by(report) | _statuses_moved_by(report)
    ):
        return _revive(job, report, by=by, now=now)
    if job.failure_reason is FailureReason.TIMED_OUT:
        detail = "The job ran longer than its max_duration and the board failed it: stop."
        return Decision(refusal=Refusal("job_timed_out", detail))
    if job.status in FINAL and job.failure_reason is not REVIVABLE_REASON and _repeats(job, report):
        return Decision()
    return Decision(refusal=Refusal("illegal_transition", _explain_contradiction(job)))


def _move(job: JobSnapshot, report: Report, *, by: str, at: datetime, now: datetime) -> Decision:
    late = report.occurred_at is not None and report.occurred_at < now
    earliest = job.started_at or job.created_at
    moved_at = max(report.occurred_at, earliest) if late and report.occurred_at else at
    changes = report.content | _touch(at) | {"status": report.status}
    match report.status:
        case JobStatus.RUNNING:
            changes |= {"started_at": moved_at, "check_at": _first_check(job, started_at=moved_at, now=at)}
        case JobStatus.COMPLETED:
            changes = {"progress": 100} | changes | {"completed_at": moved_at, "check_at": None}
        case JobStatus.FAILED:
            changes |= {"completed_at": moved_at, "failure_reason": FailureReason.ERROR, "check_at": None}
            changes |= {"error_group": error_groups.make_fingerprint(job.type, report.error)}
        case JobStatus.CANCELED:
            moved_at = at
            changes |= {"canceled_by": by, "check_at": None}
            changes |= dict.fromkeys(("canceled_at", "cancel_seen_at", "cancel_confirmed_at"), at)
    return Decision(changes, (HistoryEvent(EventKind.MOVED, moved_at, job.status, report.status, report.message),))


def may_precede_history(job: JobSnapshot, event: HistoryEvent) -> bool:
    """Return whether an event may have happened before the last one that its job's history has.

    A late report can say so of a job that was lost and ran on. Any other comes behind the job's creation or its start,
    and nothing else is written before it.
    """
    may_have_been_lost = job.heartbeat_timeout is not None and event.from_status is JobStatus.RUNNING
    return may_have_been_lost and event.at < job.updated_at


def _revive(job: JobSnapshot, report: Report, *, by: str, now: datetime) -> Decision:
    """Let a lost job whose runner reports again run on, and take the report as a running job does."""
    at = not_before_last_update(job, now)
    running = _touch(at) | dict.fromkeys(("completed_at", "failure_reason", "error", "error_group"))
    running |= {"status": JobStatus.RUNNING, "check_at": _first_check(job, started_at=job.started_at or at, now=at)}
    revival = HistoryEvent(EventKind.MOVED, at, JobStatus.FAILED, JobStatus.RUNNING, "The runner spoke again.")
    decision = decide_report(apply_changes(job, running), report, by=by, now=now)
    return Decision(running | decision.changes, (revival, *decision.events), decision.refusal)


def moves_to(decision: Decision, status: JobStatus) -> bool:
    """Return whether a decision moves its job to a status; to confirm the cancel of another moves it nowhere."""
    return any(event.kind is EventKind.MOVED and event.to_status is status for event in decision.events)


def restrict_cancel(decision: Decision, *, is_own: bool, may_cancel: bool) -> Decision:
    """Decide who may end a job as canceled by a report: its runner, or whoever may cancel any job.

    ``is_own``: the reporter created or started the job, and gives it up. For others it is a cancel like any other,
    which needs the right and is a line of the audit log.
    """
    if is_own:
        return decision
    if may_cancel:
        return replace(decision, audit_action=CANCELED_ACTION)
    detail = "This token neither created nor started the job: to end it as canceled it needs the scope jobs:cancel."
    return Decision(refusal=Refusal(MISSING_SCOPE, detail))


def _confirms_cancel(report: Report) -> bool:
    return report.status is JobStatus.CANCELED and report.content.keys() <= {"message"}


def _confirm_cancel(job: JobSnapshot, report: Report, at: datetime) -> Decision:
    if job.cancel_confirmed_at is not None:
        return Decision()
    changes = report.content | _touch(at)
    changes |= {"cancel_confirmed_at": at, "cancel_seen_at": job.cancel_seen_at or at}
    return Decision(changes, (HistoryEvent(EventKind.CANCEL_CONFIRMED, at, message=report.message),))


def _refuse_after_cancel(job: JobSnapshot, report: Report, at: datetime) -> Decision:
    changes: dict[str, Any] = {}
    events = []
    if job.cancel_seen_at is None:
        changes |= _touch(at) | {"cancel_seen_at": at}
        events.append(HistoryEvent(EventKind.CANCEL_SEEN, at))
    if report.status in (JobStatus.COMPLETED, JobStatus.FAILED) and job.finish_refused is None:
        changes |= _touch(at) | {"finish_refused": report.status}
        events.append(HistoryEvent(EventKind.REFUSED, at, to_status=report.status, message=report.message))
    return Decision(changes, tuple(events), Refusal("job_canceled", "The job was canceled: stop."))


def _repeats(job: JobSnapshot, report: Report) -> bool:
    """Return whether a report on a finished job says nothing new: a runner that retries is not in error."""
    content = report.content
    if report.status is None:
        return not content
    stored = {name: getattr(job, name) for name in content}
    return report.status is job.status and canonical_json(stored) == canonical_json(content)


def _explain_contradiction(job: JobSnapshot) -> str:
    if job.status is JobStatus.PENDING:
        return "The job is pending: report status running first."
    return f"The job is {job.status}, which this report contradicts."


# --- a cancel, and what the board finds overdue ------------------------------------------------------------------


def decide_cancel(job: JobSnapshot, *, by: str, now: datetime) -> Decision:
    """Decide what a cancel does: nothing to a canceled job, and it comes too late for one that completed or failed."""
    if job.status is JobStatus.CANCELED:
        return Decision()
    if JobStatus.CANCELED not in SUCCESSORS[job.status]:
        return Decision(refusal=Refusal("job_finished", f"The job had already {job.status} and cannot be canceled."))
    at = not_before_last_update(job, now)
    changes = {"updated_at": at, "status": JobStatus.CANCELED, "canceled_at": at, "canceled_by": by, "check_at": None}
    event = HistoryEvent(EventKind.MOVED, at, job.status, JobStatus.CANCELED)
    return Decision(changes, (event,), audit_action=CANCELED_ACTION)


def decide_overdue(job: JobSnapshot, reason: FailureReason, error: str, *, now: datetime) -> Decision:
    """Decide what it does to a running job that the board finds it timed out or lost."""
    at = not_before_last_update(job, now)
    changes = {"updated_at": at, "status": JobStatus.FAILED, "failure_reason": reason, "error": error}
    changes |= {"completed_at": at, "check_at": None}
    changes |= {"error_group": error_groups.make_fingerprint(job.type, error)}
    return Decision(changes, (HistoryEvent(EventKind.MOVED, at, job.status, JobStatus.FAILED, error),))
