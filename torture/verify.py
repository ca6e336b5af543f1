"""Compares the database with what the board had acknowledged."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from torture.journal import AcknowledgedJob, Journal
from webapp.core.lifecycle import FINAL, SUCCESSORS, EventKind, JobStatus
from webapp.core.models import AuditEntry, JobEvent, JobRun, LogLine, WebhookDelivery

JOBS_AT_A_TIME = 500


@dataclass
class Verdict:
    """What the database says of the acknowledged writes: how many were checked, and what is wrong."""

    checked: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.impossible)


def verify(engine: sa.Engine, journal: Journal, *, has_webhook: bool) -> Verdict:
    """Compare every job of the journal with its rows, and look for jobs that a repeated request doubled.

    Checked are the job, its status and progress, its history, its log, the audit line of a cancel, and the one message
    that each end has if the workspace ``has_webhook``.
    """
    verdict = Verdict(checked=journal.count_writes())
    with engine.connect() as connection:
        for start in range(0, len(journal.jobs), JOBS_AT_A_TIME):
            _verify_jobs(connection, journal.jobs[start : start + JOBS_AT_A_TIME], verdict, has_webhook)
        keys: Counter[str] = Counter(
            payload["key"] for (payload,) in connection.execute(sa.select(JobRun.payload)) if payload
        )
    verdict.doubled += [f"{count} jobs of the key {key}" for key, count in keys.items() if count > 1]
    verdict.impossible += [f"a job of the key {key}, which nobody sent" for key in keys.keys() - {*journal.keys_sent}]
    return verdict


def _verify_jobs(
    connection: sa.Connection, jobs: Sequence[AcknowledgedJob], verdict: Verdict, has_webhook: bool
) -> None:
    ids = [job.job_id for job in jobs]
    columns = (JobRun.id, JobRun.status, JobRun.progress, JobRun.payload)
    rows = {row.id: row for row in connection.execute(sa.select(*columns).where(JobRun.id.in_(ids)))}
    events = _group(
        connection.execute(
            sa.select(JobEvent.job_id, JobEvent.kind, JobEvent.from_status, JobEvent.to_status)
            .where(JobEvent.job_id.in_(ids))
            .order_by(JobEvent.id)
        )
    )
    lines = _group(connection.execute(sa.select(LogLine.job_id, LogLine.text).where(LogLine.job_id.in_(ids))))
    messages = _group(
        connection.execute(
            sa.select(WebhookDelivery.job_id, WebhookDelivery.event).where(WebhookDelivery.job_id.in_(ids))
        )
    )
    cancels: Counter[str] = Counter(
        connection.scalars(
            sa.select(AuditEntry.resource).where(
                AuditEntry.action == "job.canceled", AuditEntry.resource.in_([f"job:{job_id}" for job_id in ids])
            )
        )
    )
    for job in jobs:
        row = rows.get(job.job_id)
        if row is None:
            verdict.lost.append(f"job {job.job_id}")
            continue
        _verify_status(job, row, verdict)
        verdict.impossible += _find_broken_history(job, row.status, events[job.job_id])
        _compare_once("line of", job, job.log_lines, [line.text for line in lines[job.job_id]], verdict)
        ends = [f"job.{row.status}"] if has_webhook and row.status in FINAL else []
        _compare_once("message of", job, ends, [message.event for message in messages[job.job_id]], verdict)
        canceled = [str(job.job_id)] if job.canceled_by_operator else []
        audited = [str(job.job_id)] * cancels[f"job:{job.job_id}"]
        _compare_once("audit line of", job, canceled, audited, verdict)


def _group(rows: Iterable[Any]) -> defaultdict[Any, list[Any]]:
    """Return the rows by their job, in their order."""
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[row.job_id].append(row)
    return groups


def _verify_status(job: AcknowledgedJob, row: Any, verdict: Verdict) -> None:
    if job.final_status and row.status != job.final_status:
        verdict.lost.append(f"{job.final_status} of job {job.job_id}, which is {row.status}")
    elif job.started and row.status == JobStatus.PENDING:
        verdict.lost.append(f"start of job {job.job_id}")
    if row.progress < job.progress:
        verdict.lost.append(f"progress {job.progress} of job {job.job_id}, which has {row.progress}")


def _find_broken_history(job: AcknowledgedJob, status: JobStatus, events: Sequence[Any]) -> Iterator[str]:
    """Yield where the history is no way through the lifecycle that ends in the job's status."""
    if [event.kind for event in events[:1]] != [EventKind.ENQUEUED]:
        yield f"history of job {job.job_id}, which does not begin"
    standing = JobStatus.PENDING
    for event in events:
        if event.kind == EventKind.MOVED:
            if event.from_status != standing or event.to_status not in SUCCESSORS[standing]:
                yield f"move of job {job.job_id} from {event.from_status} to {event.to_status} while {standing}"
            standing = event.to_status
    if standing != status:
        yield f"history of job {job.job_id}, which ends in {standing} while it is {status}"


def _compare_once(
    what: str, job: AcknowledgedJob, acknowledged: Sequence[str], stored: Sequence[str], verdict: Verdict
) -> None:
    """Check that everything acknowledged is stored, and nothing twice."""
    counts = Counter(stored)
    verdict.lost += [f"{what} job {job.job_id}: {text}" for text in acknowledged if not counts[text]]
    verdict.doubled += [
        f"{what} job {job.job_id}: {text}, {count} times" for text, count in counts.items() if count > 1
    ]
