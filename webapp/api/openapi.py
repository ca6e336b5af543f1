"""Builds the OpenAPI 3.1 document from the schemas that validate the bodies, so that the two cannot differ."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from flask import current_app
from pydantic.json_schema import models_json_schema

from webapp.api.authentication import public
from webapp.api.batch import OMITTED_FIELDS
from webapp.api.blueprint import api
from webapp.api.preferences import APPLIED, MINIMAL, MINIMAL_FIELDS
from webapp.api.records import RESULT_FIELDS
from webapp.api.schemas import EventQuery, ListQuery, LogQuery, Query
from webapp.core.jobs.idempotency import KEY_LIMIT, KEY_PATTERN
from webapp.core.jobs.inputs import Batch, BatchedReport, NewJob, NewLines, Report
from webapp.core.jobs.listing import COUNT_CAP
from webapp.core.lifecycle import EventKind, FailureReason, JobStatus
from webapp.core.models import JOB_FIELDS, LogLevel
from webapp.rate_limit import HEADERS as RATE_LIMIT_HEADERS

_TIME = {"type": "string", "format": "date-time"}
_NULLABLE_TIME = {"type": ["string", "null"], "format": "date-time"}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_NULLABLE_OBJECT = {"type": ["object", "null"]}
_NULLABLE_INTEGER = {"type": ["integer", "null"]}
_ID = {"type": "string", "format": "uuid"}
_STATUS = {"type": "string", "enum": list(JobStatus)}

_JOB: dict[str, dict[str, Any]] = {
    "id": _ID,
    "type": {"type": "string"},
    "status": _STATUS,
    "payload": _NULLABLE_OBJECT,
    "result": _NULLABLE_OBJECT,
    "error": _NULLABLE_TEXT,
    "progress": {"type": "integer", "minimum": 0, "maximum": 100},
    "workspace_id": {"type": ["string", "null"], "format": "uuid"},
    "created_by": {"type": "string", "description": "user:<id>, token:<id> or system"},
    "started_at": _NULLABLE_TIME,
    "completed_at": _NULLABLE_TIME,
    "created_at": _TIME,
    "updated_at": _TIME,
    "canceled_at": _NULLABLE_TIME,
    "canceled_by": _NULLABLE_TEXT,
    "cancel_seen_at": _NULLABLE_TIME,
    "cancel_confirmed_at": _NULLABLE_TIME,
    "message": _NULLABLE_TEXT,
    "tags": {"type": "array", "items": {"type": "string"}},
    "link": {"type": ["string", "null"], "format": "uri"},
    "runner": _NULLABLE_TEXT,
    "failure_reason": {"type": ["string", "null"], "enum": [*FailureReason, None]},
    "max_duration": _NULLABLE_INTEGER,
    "heartbeat_timeout": _NULLABLE_INTEGER,
    "last_seen_at": _NULLABLE_TIME,
    "parent_id": {"type": ["string", "null"], "format": "uuid"},
}
_VERSION = {"type": "integer", "minimum": 1, "description": "A number that grows with every change of the job."}


def _record_schema(properties: dict[str, Any], optional: Sequence[str] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _job_schema(*without: str, optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return the schema of a job ``without`` some fields; the ``optional`` ones some tokens do not see."""
    return _record_schema({name: _JOB[name] for name in JOB_FIELDS if name not in without}, optional)


_EVENT = {
    "id": {"type": "integer"},
    "at": _TIME,
    "kind": {"type": "string", "enum": list(EventKind)},
    "from": {"type": ["string", "null"], "enum": [*JobStatus, None]},
    "to": {"type": ["string", "null"], "enum": [*JobStatus, None]},
    "by": {"type": "string"},
    "message": _NULLABLE_TEXT,
}
_FAULT = {"pointer": {"type": "string"}, "detail": {"type": "string"}}
_PROBLEM = {
    "type": {"type": "string"},
    "title": {"type": "string"},
    "status": {"type": "integer"},
    "detail": {"type": "string"},
    "code": {"type": "string"},
    "request_id": {"type": "string"},
    "errors": {"type": "array", "items": {"type": "object", "properties": _FAULT, "required": list(_FAULT)}},
}
_COUNT = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 0, "maximum": COUNT_CAP}, "capped": {"type": "boolean"}},
    "required": ["count", "capped"],
}
_LINE = {
    "seq": {"type": "integer", "minimum": 1},
    "at": _TIME,
    "level": {"type": ["string", "null"], "enum": [*LogLevel, None]},
    "text": {"type": "string"},
}
_DROPPED = {
    "type": "integer",
    "minimum": 1,
    "description": "How many lines between the one asked after and this one are gone; only where some are.",
}
_NEXT_AFTER = {"type": "integer", "minimum": 0, "description": "The number of the last line: read on after it."}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The runner's own name for this request, in printable ASCII; the same again is done once, and "
    "answered again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LIMIT, "pattern": KEY_PATTERN},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": f"`{MINIMAL}` asks for {', '.join(MINIMAL_FIELDS[:-1])} and {MINIMAL_FIELDS[-1]} of a job alone. A "
    "refusal still tells of the job as it stands.",
    "schema": {"type": "string"},
}
(_APPLIED,) = APPLIED


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    properties = {"data": {"type": "array", "items": schema}} | more
    return {"type": "object", "properties": properties, "required": list(properties)}


def _counts_by_status(schema: dict[str, Any]) -> dict[str, Any]:
    names = [status.value for status in JobStatus]
    return {"type": "object", "properties": dict.fromkeys(names, schema), "required": names}


def _response(description: str, schema: dict[str, Any], headers: tuple[str, ...] = ()) -> dict[str, Any]:
    header_schemas = {name: {"schema": {"type": "string"}} for name in ("X-Request-Id", *headers)}
    return {"description": description, "headers": header_schemas, "content": {"application/json": {"schema": schema}}}


def _text_response(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


_HIDDEN = "Answers to a token without `jobs:read` leave out `result` and `error`."
_OWN_CANCEL = (
    "A token that neither created the job nor reported it as running needs `jobs:cancel` as well to end it as canceled."
)
_ERRORS = {
    400: "The body is not JSON.",
    401: "No token, or a bad, expired or revoked one.",
    403: "The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`).",
    404: "There is no such job in the token's workspace.",
    409: "The job's status contradicts this; `job` is the job as it stands.",
    413: "The body is over 1 MiB.",
    415: "The body is not sent as application/json, or with a Content-Encoding other than gzip.",
    422: "Faults in the body or the query, all named in `errors`.",
    429: "Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after "
    "`Retry-After` seconds.",
    500: "Something went wrong on the board.",
    503: "The database is away or busy; try again after `Retry-After` seconds.",
}


def _problem_schema(job: str) -> dict[str, Any]:
    return {"type": "object", "properties": _PROBLEM | {"job": _ref(job)}, "required": list(_PROBLEM)}


def _error_responses(*statuses: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    responses: dict[str, Any] = {
        str(status): {"description": _ERRORS[status], "content": content}
        for status in (401, 403, *statuses, 429, 500, 503)
    }
    responses["429"]["headers"] = {
        "Retry-After": {"schema": {"type": "integer", "minimum": 1}},
        **{name: {"schema": {"type": "integer", "minimum": 0}} for name in RATE_LIMIT_HEADERS},
    }
    return responses


def _operation(
    name: str,
    summary: str,
    scope: str,
    responses: dict[str, Any],
    *errors: int,
    body: str | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "description": " ".join(filter(None, (f"The token needs the scope `{scope}`.", note))),
        "responses": responses | _error_responses(*errors),
    }
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(ref_template="#/components/schemas/{model}")
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field["description"],
            "schema": _parameter_schema(field),
        }
        for name, field in schema["properties"].items()
    ]


def _parameter_schema(field: dict[str, Any]) -> dict[str, Any]:
    # A query cannot send null; absent is the only way to leave a parameter out.
    schema: dict[str, Any] = next((choice for choice in field.get("anyOf", []) if choice != {"type": "null"}), field)
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def _build_paths() -> dict[str, Any]:
    listed = _ref("ListedJob")
    job, reported = ({"anyOf": [_ref(name), _ref("MinimalJob")]} for name in ("EnqueuedJob", "ReportedJob"))
    job_id = [{"name": "job_id", "in": "path", "required": True, "schema": _ID}]
    cursor = {"type": ["string", "null"]}
    return {
        "/jobs": {
            "get": {"parameters": _query_parameters(ListQuery)}
            | _operation(
                "listJobs", "List jobs, newest first", "jobs:read",
                {"200": _response("One page.", _list_of(listed, next_cursor=cursor))}, 422,
            ),
            "post": {"parameters": [_IDEMPOTENCY_KEY, _PREFER]}
            | _operation(
                "enqueueJob", "Enqueue a job", "jobs:write",
                {
                    "200": _response(
                        "The job of an earlier request.", job, ("Location", "Idempotent-Replayed", _APPLIED)
                    ),
                    "201": _response("The job.", job, ("Location", _APPLIED)),
                },
                400, 413, 415, 422, body="NewJob", note=_HIDDEN,
            ),
        },
        "/jobs/counts": {
            "get": _operation(
                "countJobs", "How many jobs of each status there are", "jobs:read",
                {"200": _response("The counts.", _counts_by_status(_COUNT))}, 422,
            ),
        },
        "/jobs/batch": {
            "post": {"parameters": [_PREFER]}
            | _operation(
                "updateJobs", "Report on several jobs, each judged alone", "jobs:write",
                {
                    "200": _response(
                        "What each was answered, in the order given.", _list_of(_ref("BatchAnswer")), (_APPLIED,)
                    )
                },
                400, 413, 415, 422, body="Batch", note=_OWN_CANCEL,
            ),
        },
        "/jobs/{job_id}": {
            "parameters": job_id,
            "get": _operation(
                "getJob", "Get a job", "jobs:read",
                {"200": _response("The job.", _ref("Job"), ("ETag",)), "304": {"description": "Unchanged."}}, 404, 422,
            ),
            "patch": {"parameters": [_PREFER]}
            | _operation(
                "updateJob", "Report on a job; {} is a heartbeat", "jobs:write",
                {"200": _response("The job as stored.", reported, (_APPLIED,))},
                400, 404, 409, 413, 415, 422,
                body="Report", note=f"{_OWN_CANCEL} {_HIDDEN}",
            ),
        },
        "/jobs/{job_id}/cancel": {
            "parameters": job_id,
            "post": _operation(
                "cancelJob", "Cancel a job", "jobs:cancel",
                {"200": _response("The canceled job.", _ref("ReportedJob"))}, 404, 409, 422, note=_HIDDEN,
            ),
        },
        "/jobs/{job_id}/events": {
            "parameters": job_id,
            "get": {"parameters": _query_parameters(EventQuery)}
            | _operation(
                "listEvents", "The history of a job, oldest first", "jobs:read",
                {"200": _response("One page.", _list_of(_ref("Event"), next_cursor=cursor))}, 404, 422,
            ),
        },
        "/jobs/{job_id}/logs": {
            "parameters": job_id,
            "get": {"parameters": _query_parameters(LogQuery)}
            | _operation(
                "listLines", "The lines of a job's log after a number, oldest first", "jobs:read",
                {"200": _response("One page of lines.", _list_of(_ref("LogLine"), next_after=_NEXT_AFTER))}, 404, 422,
            ),
            "post": {"parameters": [_IDEMPOTENCY_KEY]}
            | _operation(
                "appendLines", "Append lines to a job's log, whatever its status", "jobs:write",
                {"200": _response("How far the log goes.", _ref("Appended"), ("Idempotent-Replayed",))},
                400, 404, 413, 415, 422, body="NewLines",
            ),
        },
        "/jobs/{job_id}/logs.txt": {
            "parameters": job_id,
            "get": _operation(
                "showLogText", "All kept lines of a job's log as text, oldest first", "jobs:read",
                {"200": _text_response("The lines, each with its time in UTC and its level.")}, 404, 422,
            ),
        },
        "/openapi.json": {
            "get": {
                "operationId": "getDocument",
                "summary": "This document",
                "security": [],
                "responses": {"200": _response("The document.", {"type": "object"})},
            },
        },
    }  # fmt: skip


_DESCRIPTION = (
    "Runners report jobs with a token of their workspace. A page in a browser may call this API if the workspace of "
    "its token lists the site of the page (its origin) under Settings, Browser access: the answer then has "
    "Access-Control-Allow-Origin (CORS). No cookie is read."
)


@cache
def build_document(version: str, public_url: str) -> dict[str, Any]:
    """Return the document of this version for a board at ``public_url``."""
    models = [(model, "validation") for model in (NewJob, Report, BatchedReport, Batch, NewLines, ListQuery)]
    _, generated = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas = generated["$defs"] | {
        "Job": _job_schema(),
        "EnqueuedJob": _job_schema(optional=RESULT_FIELDS),
        "ReportedJob": _job_schema("payload", optional=RESULT_FIELDS),
        "ListedJob": _job_schema("payload", "result"),
        "BatchedJob": _job_schema(*OMITTED_FIELDS),
        "MinimalJob": _record_schema({name: (_JOB | {"version": _VERSION})[name] for name in MINIMAL_FIELDS}),
        "Event": {"type": "object", "properties": _EVENT, "required": list(_EVENT)},
        "BatchAnswer": {
            "type": "object",
            "properties": {
                "id": {"type": ["string", "null"], "format": "uuid", "description": "Null where none was sent."},
                "status": {"type": "integer", "enum": [200, 403, 404, 409, 422]},
                "job": {"anyOf": [_ref("BatchedJob"), _ref("MinimalJob")]},
                "problem": _ref("BatchedProblem"),
            },
            "required": ["id", "status"],
        },
        "LogLine": {"type": "object", "properties": _LINE | {"dropped": _DROPPED}, "required": list(_LINE)},
        "Appended": {"type": "object", "properties": {"next_after": _NEXT_AFTER}, "required": ["next_after"]},
        "Problem": _problem_schema("ReportedJob"),
        "BatchedProblem": _problem_schema("BatchedJob"),
    }
    schemas["Batch"]["properties"]["data"]["items"] = _ref("BatchedReport")
    del schemas["ListQuery"]
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            # "Absent" has no JSON; the schema would call it null, which status and progress refuse.
            field.pop("default", None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Callboard", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": f"{public_url}{api.url_prefix}"}],
        "security": [{"token": []}],
        "paths": _build_paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
    }


def get_document() -> dict[str, Any]:
    """Return the document of this board."""
    return build_document(current_app.config["VERSION"], current_app.config["PUBLIC_URL"])


@api.get("/openapi.json")
@public
def show_document() -> dict[str, Any]:
    """Show the OpenAPI document of this API."""
    return get_document()
