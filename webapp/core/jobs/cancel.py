"""Cancels jobs: the last of the four verbs."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from webapp.core.audit import SYSTEM, Actor
from webapp.core.jobs import decisions, store
from webapp.core.jobs.decisions import Decide, Decision, raise_if_refused
from webapp.core.jobs.read import to_orm
from webapp.core.models import JobRun, JobSnapshot

BATCH_SIZE = 500
"""Jobs canceled in one transaction, after which others write."""


class CancelOutcome(StrEnum):
    """What became of one job of several that were to be canceled."""

    CANCELED = "canceled"
    ALREADY_CANCELED = "already_canceled"
    FINISHED = "finished"
    NOT_FOUND = "not_found"


def _decide_cancel(by: Actor) -> Decide:
    def decide(job: JobSnapshot, now: datetime) -> Decision:
        return decisions.decide_cancel(job, by=by.ref, now=now)

    return decide


def cancel_job(job_id: uuid.UUID, *, within: uuid.UUID | None = None, by: Actor = SYSTEM) -> JobRun:
    """Cancel a job, at once in the record; its runner is notified when it next reports. Again changes nothing.

    Raises ``NotFound``, and ``JobConflict`` (``job_finished``) when the job has completed or failed.
    """
    job, decision = store.decide_and_write(job_id, _decide_cancel(by), within=within, by=by)
    return to_orm(raise_if_refused(job, decision))


def cancel_jobs(
    workspace_id: uuid.UUID, job_ids: Iterable[uuid.UUID], *, by: Actor
) -> Mapping[uuid.UUID, CancelOutcome]:
    """Cancel several jobs, each decided by itself. Returns what became of each, in the order in which they were named.

    They are written in batches, each one transaction.
    """
    unique_ids = list(dict.fromkeys(job_ids))
    outcomes: dict[uuid.UUID, CancelOutcome] = {}
    for start in range(0, len(unique_ids), BATCH_SIZE):
        batch = unique_ids[start : start + BATCH_SIZE]
        decides = [_decide_cancel(by)] * len(batch)
        results = store.decide_and_write_batch(workspace_id, batch, decides, by=by)
        outcomes |= {job_id: _to_outcome(result) for job_id, result in zip(batch, results, strict=True)}
    return outcomes


def _to_outcome(result: tuple[JobSnapshot, Decision] | None) -> CancelOutcome:
    if result is None:
        return CancelOutcome.NOT_FOUND
    _, decision = result
    if decision.refusal:
        return CancelOutcome.FINISHED
    return CancelOutcome.CANCELED if decision.changes else CancelOutcome.ALREADY_CANCELED
