"""What a word does to a job: a report of its runner, a cancel, or the board's own verdict.

Nothing here reads or writes: a job as it stands goes in, and out comes what changes, what its history tells of it, and
what is refused. ``webapp.core.jobs`` writes that down, and only if the job still stands as it was judged.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from webapp.core.jobs import error_groups
from webapp.core.jobs.inputs import Report
from webapp.core.json_text import canonical_json
from webapp.core.lifecycle import FINAL, REVIVABLE, SUCCESSORS, EventKind, FailureReason, JobStatus, predecessors
from webapp.core.models import JobRow


@dataclass(frozen=True)
class News:
    """One line for a job's history."""

    kind: EventKind
    at: datetime
    start: JobStatus | None = None
    to: JobStatus | None = None
    message: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a word is refused: the machine's word for it, and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True)
class Judgement:
    """What changes (columns and values), what the history tells, and what is refused; a refusal may change too."""

    changes: dict[str, Any] = field(default_factory=dict)
    news: tuple[News, ...] = ()
    refusal: Refusal | None = None

    @property
    def outcome(self) -> str:
        """In one word: the code of the refusal, ``moved``, ``noted`` (something else changed), ``repeated``."""
        if self.refusal:
            return self.refusal.code
        if any(news.kind is EventKind.MOVED for news in self.news):
            return "moved"
        return "noted" if self.changes else "repeated"


def stays_in(report: Report) -> frozenset[JobStatus]:
    """The statuses in which a report changes what is stored, but not the status."""
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
    """The statuses that a report may end."""
    return predecessors(report.status) if report.status else frozenset()


# --- a report ----------------------------------------------------------------------------------------------------


def of_report(job: JobRow, report: Report, *, by: str, read: datetime) -> Judgement:
    """What a report does, said by ``by`` at the moment ``read`` on the clock: the PATCH table of the API."""
    now = _not_before_the_last(job, read)
    if job.status in stays_in(report):
        return Judgement(report.content | _heard(now))
    if job.status in _moves_from(report):
        return _moved(job, report, by=by, now=now, read=read)
    if job.status is JobStatus.CANCELED:
        return _confirmed(job, report, now) if _confirms(report) else _heard_of_cancel(job, report, now)
    if job.failure_reason is REVIVABLE and JobStatus.RUNNING in stays_in(report) | _moves_from(report):
        return _revived(job, report, by=by, read=read)
    if job.failure_reason is FailureReason.TIMED_OUT:
        why = "The job ran longer than its max_duration and the board failed it: stop."
        return Judgement(refusal=Refusal("job_timed_out", why))
    if job.status in FINAL and job.failure_reason is not REVIVABLE and _repeats(job, report):
        return Judgement()
    return Judgement(refusal=Refusal("illegal_transition", _contradiction(job)))


def _moved(job: JobRow, report: Report, *, by: str, now: datetime, read: datetime) -> Judgement:
    late = report.occurred_at is not None and report.occurred_at < read
    earliest = job.started_at or job.created_at
    happened = max(report.occurred_at, earliest) if late and report.occurred_at else now
    changes = report.content | _heard(now) | {"status": report.status}
    match report.status:
        case JobStatus.RUNNING:
            happened = job.started_at or happened
            changes |= {"started_at": happened, "check_at": _first_look(job, started_at=happened, now=now)}
        case JobStatus.COMPLETED:
            changes = {"progress": 100} | changes | {"completed_at": happened, "check_at": None}
        case JobStatus.FAILED:
            changes |= {"completed_at": happened, "failure_reason": FailureReason.ERROR, "check_at": None}
            changes |= {"error_group": error_groups.mark(job.type, report.error)}
        case JobStatus.CANCELED:
            happened = now
            changes |= {"canceled_by": by, "check_at": None}
            changes |= dict.fromkeys(("canceled_at", "cancel_seen_at", "cancel_confirmed_at"), now)
    return Judgement(changes, (News(EventKind.MOVED, happened, job.status, report.status, report.message),))


def _revived(job: JobRow, report: Report, *, by: str, read: datetime) -> Judgement:
    """A lost job whose runner speaks again runs on, and hears the report as a running job does."""
    now = _not_before_the_last(job, read)
    running = _heard(now) | dict.fromkeys(("completed_at", "failure_reason", "error", "error_group"))
    running |= {"status": JobStatus.RUNNING, "check_at": _first_look(job, started_at=job.started_at or now, now=now)}
    back = News(EventKind.MOVED, now, JobStatus.FAILED, JobStatus.RUNNING, "The runner spoke again.")
    heard = of_report(after(job, running), report, by=by, read=read)
    # A move that came before the board lost the job is told after it all the same.
    news = (replace(each, at=max(each.at, now)) for each in heard.news)
    return Judgement(running | heard.changes, (back, *news), heard.refusal)


def _confirms(report: Report) -> bool:
    return report.status is JobStatus.CANCELED and report.content.keys() <= {"message"}


def _confirmed(job: JobRow, report: Report, now: datetime) -> Judgement:
    if job.cancel_confirmed_at is not None:
        return Judgement()
    changes = report.content | _heard(now)
    changes |= {"cancel_confirmed_at": now, "cancel_seen_at": job.cancel_seen_at or now}
    return Judgement(changes, (News(EventKind.CANCEL_CONFIRMED, now, message=report.message),))


def _heard_of_cancel(job: JobRow, report: Report, now: datetime) -> Judgement:
    changes: dict[str, Any] = {}
    news = []
    if job.cancel_seen_at is None:
        changes |= _heard(now) | {"cancel_seen_at": now}
        news.append(News(EventKind.CANCEL_SEEN, now))
    if report.status in (JobStatus.COMPLETED, JobStatus.FAILED) and job.finish_refused is None:
        changes |= _heard(now) | {"finish_refused": report.status}
        news.append(News(EventKind.REFUSED, now, to=report.status, message=report.message))
    return Judgement(changes, tuple(news), Refusal("job_canceled", "The job was canceled: stop."))


def _repeats(job: JobRow, report: Report) -> bool:
    """Whether a report on a finished job says nothing new: a runner that retries is not in error."""
    content = report.content
    if report.status is None:
        return not content
    stored = {name: getattr(job, name) for name in content}
    return report.status is job.status and canonical_json(stored) == canonical_json(content)


def _contradiction(job: JobRow) -> str:
    if job.status is JobStatus.PENDING:
        return "The job is pending: report status running first."
    return f"The job is {job.status}, which this report contradicts."


# --- a cancel, and the board's verdict ---------------------------------------------------------------------------


def of_cancel(job: JobRow, *, by: str, read: datetime) -> Judgement:
    """What a cancel does: nothing to a canceled job, and it comes too late for one that completed or failed."""
    if job.status is JobStatus.CANCELED:
        return Judgement()
    if JobStatus.CANCELED not in SUCCESSORS[job.status]:
        return Judgement(refusal=Refusal("job_finished", f"The job had already {job.status} and cannot be canceled."))
    now = _not_before_the_last(job, read)
    changes = {"updated_at": now, "status": JobStatus.CANCELED, "canceled_at": now, "canceled_by": by, "check_at": None}
    return Judgement(changes, (News(EventKind.MOVED, now, job.status, JobStatus.CANCELED),))


def of_verdict(job: JobRow, reason: FailureReason, error: str, *, read: datetime) -> Judgement:
    """What it does to a running job that the board finds it timed out or lost."""
    now = _not_before_the_last(job, read)
    changes = {"updated_at": now, "status": JobStatus.FAILED, "failure_reason": reason, "error": error}
    changes |= {"completed_at": now, "check_at": None, "error_group": error_groups.mark(job.type, error)}
    return Judgement(changes, (News(EventKind.MOVED, now, job.status, JobStatus.FAILED, error),))


# --- pieces ------------------------------------------------------------------------------------------------------


def after(job: JobRow, changes: dict[str, Any]) -> JobRow:
    """The job as it stands after these changes."""
    return job._replace(**changes)


def _not_before_the_last(job: JobRow, read: datetime) -> datetime:
    """The time of a word: the clock's, but never before what the job already tells.

    Writers read the clock and then wait for each other, and several machines have several clocks; a job's history must
    not run backwards for that.
    """
    return max(read, job.updated_at)


def _heard(now: datetime) -> dict[str, Any]:
    """What every word of a runner changes."""
    return {"updated_at": now, "last_seen_at": now}


def _first_look(job: JobRow, *, started_at: datetime, now: datetime) -> datetime | None:
    """When the board must first look whether a job that runs from now on ran too long or fell silent."""
    looks = []
    if job.max_duration is not None:
        looks.append(started_at + timedelta(seconds=job.max_duration))
    if job.heartbeat_timeout is not None:
        looks.append(now + timedelta(seconds=job.heartbeat_timeout))
    return min(looks, default=None)
