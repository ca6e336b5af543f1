"""Answers the calls about a job's log: append lines, list lines, all lines as text."""

import uuid
from typing import Any

from flask import Response, g, request

from webapp.api.authentication import needs, validates_query
from webapp.api.blueprint import api
from webapp.api.body import read_body_and_key
from webapp.api.schemas import LogQuery, lines_json
from webapp.core import jobs
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import NewLines
from webapp.core.models import Scope
from webapp.downloads import attachment


@api.post("/jobs/<uuid:job_id>/logs")
@needs(Scope.WRITE)
@validates_query
def append_lines(job_id: uuid.UUID) -> tuple[dict[str, Any], dict[str, str]]:
    """Append lines; with an ``Idempotency-Key`` only once."""
    new, once = read_body_and_key(NewLines)
    appended = logs.append(job_id, new, within=g.bearer.workspace_id, request_key=once)
    return {"next_after": appended.next_after}, {"Idempotent-Replayed": "true"} if appended.replayed else {}


@api.get("/jobs/<uuid:job_id>/logs")
@needs(Scope.READ)
@validates_query
def list_lines(job_id: uuid.UUID) -> dict[str, Any]:
    """List the lines after the one that the caller read last, oldest first."""
    after = LogQuery.read(request.args).after
    page = logs.list_after(jobs.get_job_status(job_id, within=g.bearer.workspace_id), after)
    return {"data": lines_json(page), "next_after": page.lines[-1].seq if page.lines else after}


@api.get("/jobs/<uuid:job_id>/logs.txt")
@needs(Scope.READ)
def show_text(job_id: uuid.UUID) -> Response:
    """Show all kept lines as text."""
    job = jobs.get_job_status(job_id, within=g.bearer.workspace_id)
    return attachment(logs.iterate_text(job), name=f"log-{job.short_id}.txt", mimetype="text/plain")
