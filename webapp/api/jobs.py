"""The calls about jobs: create, read, list, report, cancel, history."""

import uuid
from typing import Any

from flask import Response, g, jsonify, request, url_for

from webapp.api.authentication import needs, validates_query
from webapp.api.blueprint import api
from webapp.api.body import read_body, read_body_once
from webapp.api.schemas import ListQuery, event_json
from webapp.core import jobs
from webapp.core.job_json import job_json
from webapp.core.jobs import listing
from webapp.core.jobs.inputs import NewJob, Report
from webapp.core.jobs.listing import JobFilter
from webapp.core.models import JobRow, JobRun, Scope

LARGE = ("payload", "result")


def tag_of(job: JobRun) -> str:
    """The ETag of a job's representation: every write to it makes another."""
    return f"{job.id}.{job.version}"


@api.post("/jobs")
@needs(Scope.WRITE)
@validates_query
def create() -> tuple[Response, int, dict[str, str]]:
    """Enqueue a job; with an ``Idempotency-Key`` only once."""
    new, once = read_body_once(NewJob)
    if once is None:
        replayed = False
        job: JobRow | JobRun = jobs.enqueue(new, workspace_id=g.bearer.workspace_id, by=g.actor)
    else:
        job, replayed = jobs.enqueue_once(new, once, workspace_id=g.bearer.workspace_id, by=g.actor)
    headers = {"Location": url_for("api.read", job_id=job.id)}
    if replayed:
        return jsonify(job_json(job)), 200, headers | {"Idempotent-Replayed": "true"}
    return jsonify(job_json(job)), 201, headers


@api.get("/jobs")
@needs(Scope.READ)
@validates_query
def list_jobs() -> dict[str, Any]:
    """One page of jobs, newest first."""
    query = ListQuery.read(request.args)
    page = listing.one_page_of_records(g.bearer.workspace_id, query.wanted, limit=query.limit, cursor=query.cursor)
    return {"data": [job_json(job, without=LARGE) for job in page.jobs], "next_cursor": page.next_cursor}


@api.get("/jobs/counts")
@needs(Scope.READ)
def counts() -> dict[str, Any]:
    """How many jobs of each status there are; counting stops at 10,000."""
    counted = listing.counts(g.bearer.workspace_id, JobFilter())
    return {status: {"count": found.count, "capped": found.capped} for status, found in counted.items()}


@api.get("/jobs/<uuid:job_id>")
@needs(Scope.READ)
def read(job_id: uuid.UUID) -> Response:
    """One job, or 304 when the caller has it already."""
    job = jobs.get_job_status(job_id, within=g.bearer.workspace_id)
    held = request.if_none_match.contains_weak(tag_of(job))
    response = Response(status=304) if held else jsonify(job_json(job))
    response.set_etag(tag_of(job))
    response.cache_control.private = True
    response.cache_control.no_cache = True
    return response


@api.patch("/jobs/<uuid:job_id>")
@needs(Scope.WRITE)
@validates_query
def report(job_id: uuid.UUID) -> dict[str, Any]:
    """Report on a job."""
    job = jobs.update(job_id, read_body(Report), within=g.bearer.workspace_id, by=g.actor)
    return job_json(job, without=("payload",))


@api.post("/jobs/<uuid:job_id>/cancel")
@needs(Scope.CANCEL)
def cancel(job_id: uuid.UUID) -> dict[str, Any]:
    """Cancel a job."""
    job = jobs.cancel_job(job_id, within=g.bearer.workspace_id, by=g.actor)
    return job_json(job, without=("payload",))


@api.get("/jobs/<uuid:job_id>/events")
@needs(Scope.READ)
def events(job_id: uuid.UUID) -> dict[str, Any]:
    """The history of a job, oldest first."""
    job = jobs.get_job_status(job_id, within=g.bearer.workspace_id)
    return {"data": [event_json(*numbered) for numbered in enumerate(jobs.history(job), start=1)]}
