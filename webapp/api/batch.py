"""Several reports in one request, each answered as if it had come alone."""

from collections.abc import Sequence
from typing import Any

from flask import g

from webapp.api.authentication import needs, validates_query
from webapp.api.blueprint import api
from webapp.api.body import read_body
from webapp.api.problems import document
from webapp.core import jobs
from webapp.core.errors import Fault, Invalid, NotFound, Refused
from webapp.core.job_json import job_json
from webapp.core.jobs.inputs import Batch, BatchedReport
from webapp.core.models import JobRow, Scope

Answer = JobRow | NotFound | Refused | Invalid


@api.post("/jobs/batch")
@needs(Scope.WRITE)
@validates_query
def report_several() -> dict[str, Any]:
    """Report on several jobs; each report is judged alone."""
    sent = read_body(Batch).data
    checked = [_checked(item) for item in sent]
    return {"data": [_told(report, answer) for report, answer in zip(checked, _answers(checked), strict=True)]}


def _checked(item: Any) -> BatchedReport | Invalid:
    if not isinstance(item, dict):
        return Invalid([Fault((), "A JSON object.")])
    try:
        return BatchedReport.checked(item)
    except Invalid as invalid:
        return invalid


def _answers(checked: Sequence[BatchedReport | Invalid]) -> list[Answer]:
    sound = [report for report in checked if isinstance(report, BatchedReport)]
    judged = iter(jobs.update_several(sound, within=g.bearer.workspace_id, by=g.actor))
    return [report if isinstance(report, Invalid) else next(judged) for report in checked]


def _told(report: BatchedReport | Invalid, answer: Answer) -> dict[str, Any]:
    # A rejected value is never echoed, and an id may be what was rejected.
    told = {"id": None if isinstance(report, Invalid) else str(report.id)}
    match answer:
        case JobRow():
            return told | {"status": 200, "job": job_json(answer, without=("payload",))}
        case NotFound():
            status = 404
        case Refused():
            status = 409
        case Invalid():
            status = 422
    return told | {"status": status, "problem": document(answer, status)}
