"""Answers several reports in one request, each as if it had come alone.

Payload, result and error are left out: they may be large, and a batch may name one job five hundred times.
"""

from collections.abc import Sequence
from typing import Any

from flask import g

from webapp.api.authentication import needs, validates_query
from webapp.api.blueprint import api
from webapp.api.body import read_body
from webapp.api.preferences import APPLIED, minimal_json, prefers_minimal
from webapp.api.problems import problem_json
from webapp.core import jobs
from webapp.core.errors import Conflict, Fault, Invalid, MissingScope, NotFound
from webapp.core.job_json import job_json
from webapp.core.jobs.inputs import Batch, BatchedReport
from webapp.core.models import JobSnapshot, Scope

Outcome = JobSnapshot | NotFound | Conflict | Invalid | MissingScope

OMITTED_FIELDS = ("payload", "result", "error")


def _validate(item: Any) -> BatchedReport | Invalid:
    if not isinstance(item, dict):
        return Invalid([Fault((), "A JSON object.")])
    try:
        return BatchedReport.parse(item)
    except Invalid as invalid:
        return invalid


def _apply(reports: Sequence[BatchedReport | Invalid]) -> list[Outcome]:
    """Update the jobs of the valid reports, and return an outcome for each report, in their order."""
    valid = [report for report in reports if isinstance(report, BatchedReport)]
    may_cancel = Scope.CANCEL in g.bearer.scopes
    outcomes = iter(jobs.apply_reports(g.bearer.workspace_id, valid, by=g.actor, may_cancel=may_cancel))
    return [report if isinstance(report, Invalid) else next(outcomes) for report in reports]


def _outcome_json(report: BatchedReport | Invalid, outcome: Outcome, *, minimal: bool) -> dict[str, Any]:
    # A rejected value is never echoed, and an id may be what was rejected.
    answer = {"id": None if isinstance(report, Invalid) else str(report.id)}
    match outcome:
        case JobSnapshot():
            job = minimal_json(outcome) if minimal else job_json(outcome, without=OMITTED_FIELDS)
            return answer | {"status": 200, "job": job}
        case MissingScope():
            status = 403
        case NotFound():
            status = 404
        case Conflict():
            status = 409
        case Invalid():
            status = 422
    return answer | {"status": status, "problem": problem_json(outcome, status, without=OMITTED_FIELDS)}


@api.post("/jobs/batch")
@needs(Scope.WRITE)
@validates_query
def update_jobs() -> tuple[dict[str, Any], dict[str, str]]:
    """Report on several jobs; each report is judged alone."""
    reports = [_validate(item) for item in read_body(Batch).data]
    minimal = prefers_minimal()
    answers = zip(reports, _apply(reports), strict=True)
    data = [_outcome_json(report, outcome, minimal=minimal) for report, outcome in answers]
    return {"data": data}, APPLIED if minimal else {}
