"""Answers the calls about jobs: enqueue, list, count, get, update, cancel, list events."""

import uuid
from typing import Any

from flask import Response, g, jsonify, request, url_for

from webapp.api.authentication import needs, validates_query
from webapp.api.blueprint import api
from webapp.api.body import read_body, read_body_and_key
from webapp.api.preferences import APPLIED, minimal_json, prefers_minimal
from webapp.api.records import hidden_fields
from webapp.api.schemas import EventQuery, ListQuery, event_json
from webapp.core import jobs
from webapp.core.job_json import job_json
from webapp.core.jobs import listing
from webapp.core.jobs.inputs import NewJob, Report
from webapp.core.jobs.listing import JobFilter
from webapp.core.models import JobRun, JobSnapshot, Scope
from webapp.etags import is_unchanged

LARGE_FIELDS = ("payload", "result")


def get_etag(job: JobRun) -> str:
    """Return the ETag of a job, which every write to the job changes."""
    return f"{job.id}.{job.version}"


@api.post("/jobs")
@needs(Scope.WRITE)
@validates_query
def enqueue_job() -> tuple[Response, int, dict[str, str]]:
    """Enqueue a job; with an ``Idempotency-Key`` only once."""
    new, once = read_body_and_key(NewJob)
    if once is None:
        replayed = False
        job: JobSnapshot | JobRun = jobs.enqueue_new_job(g.bearer.workspace_id, new, by=g.actor)
    else:
        job, replayed = jobs.enqueue_once(g.bearer.workspace_id, new, once, by=g.actor)
    headers = {"Location": url_for("api.get_job", job_id=job.id)}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    minimal = prefers_minimal()
    record = minimal_json(job) if minimal else job_json(job, without=hidden_fields())
    return jsonify(record), 200 if replayed else 201, headers | APPLIED if minimal else headers


@api.get("/jobs")
@needs(Scope.READ)
@validates_query
def list_jobs() -> dict[str, Any]:
    """List one page of jobs, newest first."""
    query = ListQuery.read(request.args)
    page = listing.list_records(g.bearer.workspace_id, query.filter, limit=query.limit, cursor=query.cursor)
    return {"data": [job_json(job, without=LARGE_FIELDS) for job in page.jobs], "next_cursor": page.next_cursor}


@api.get("/jobs/counts")
@needs(Scope.READ)
def count_jobs() -> dict[str, Any]:
    """Count the jobs of each status; counting stops at 10,000."""
    counts = listing.count_by_status(g.bearer.workspace_id, JobFilter())
    return {status: {"count": count.count, "capped": count.capped} for status, count in counts.items()}


@api.get("/jobs/<uuid:job_id>")
@needs(Scope.READ)
def get_job(job_id: uuid.UUID) -> Response:
    """Get a job, or 304 when the caller has it already."""
    job = jobs.get_job_status(job_id, within=g.bearer.workspace_id)
    unchanged = is_unchanged(get_etag(job))
    response = Response(status=304) if unchanged else jsonify(job_json(job))
    response.set_etag(get_etag(job))
    response.cache_control.private = True
    response.cache_control.no_cache = True
    return response


@api.patch("/jobs/<uuid:job_id>")
@needs(Scope.WRITE)
@validates_query
def update_job(job_id: uuid.UUID) -> dict[str, Any] | tuple[dict[str, Any], dict[str, str]]:
    """Report on a job."""
    may_cancel = Scope.CANCEL in g.bearer.scopes
    job = jobs.apply_report(job_id, read_body(Report), within=g.bearer.workspace_id, by=g.actor, may_cancel=may_cancel)
    if prefers_minimal():
        return minimal_json(job), APPLIED
    return job_json(job, without=("payload", *hidden_fields()))


@api.post("/jobs/<uuid:job_id>/cancel")
@needs(Scope.CANCEL)
def cancel_job(job_id: uuid.UUID) -> dict[str, Any]:
    """Cancel a job."""
    job = jobs.cancel_job(job_id, within=g.bearer.workspace_id, by=g.actor)
    return job_json(job, without=("payload", *hidden_fields()))


@api.get("/jobs/<uuid:job_id>/events")
@needs(Scope.READ)
@validates_query
def list_events(job_id: uuid.UUID) -> dict[str, Any]:
    """List one page of the history of a job, oldest first."""
    query = EventQuery.read(request.args)
    job = jobs.get_job_status(job_id, within=g.bearer.workspace_id)
    events, has_more = jobs.list_events_after(job, query.cursor, limit=query.limit)
    data = [event_json(*numbered) for numbered in enumerate(events, start=query.cursor + 1)]
    return {"data": data, "next_cursor": str(query.cursor + len(events)) if has_more else None}
