"""Writes errors as RFC 9457 problem documents. Their status is decided by ``webapp.errors``."""

import json
from typing import Any

from flask import Response
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from webapp.api.records import hidden_fields
from webapp.core.errors import Conflict, Fault, Forbidden, Invalid, MissingScope, NotFound, TooManyRequests
from webapp.core.job_json import job_json
from webapp.core.jobs import JobConflict
from webapp.core.jobs.idempotency import KeyReused
from webapp.request_id import get_request_id

NAME_LIMIT = 100
"""Characters of a field's name that a pointer repeats."""
FAULT_LIMIT = 500
"""Faults that a problem lists: the answer to a megabyte of nonsense must not be five."""


def _build_pointer(fault: Fault) -> str:
    if fault.path and str(fault.path[0]).startswith("?"):
        return str(fault.path[0])[: NAME_LIMIT + 1]
    steps = (str(step)[:NAME_LIMIT].replace("~", "~0").replace("/", "~1") for step in fault.path)
    return "".join(f"/{step}" for step in steps)


def problem_json(error: Exception, status: int, *, without: tuple[str, ...] = ("payload",)) -> dict[str, Any]:
    """Return an error as a problem document, with every fault at once; ``without`` names fields its job leaves out."""
    # Werkzeug's names, because those of the standard library changed with Python 3.13, and runners read the code.
    title = HTTP_STATUS_CODES.get(status, "Unknown Error")
    more: dict[str, Any] = {}
    match error:
        case Invalid():
            code = "idempotency_key_reused" if isinstance(error, KeyReused) else "invalid"
            detail = "What was sent breaks the rules named in errors."
            faults = error.faults[:FAULT_LIMIT]
            more["errors"] = [{"pointer": _build_pointer(fault), "detail": fault.detail} for fault in faults]
        case NotFound():
            code, detail = "not_found", str(error)
        case MissingScope():
            code, detail = "missing_scope", str(error)
        case Forbidden():
            code, detail = "forbidden", str(error)
        case Conflict():
            code, detail = error.code, str(error)
            if isinstance(error, JobConflict):
                more["job"] = job_json(error.job, without=(*without, *hidden_fields()))
        case TooManyRequests():
            code, detail = error.code, str(error)
        case HTTPException():
            code, detail = title.lower().replace(" ", "_").replace("-", "_"), error.description or ""
        case _ if status == 503:
            code, detail = "unavailable", "The database is away or busy; try again shortly."
        case _:
            code, detail = "internal_error", "Something went wrong here; it has been logged."
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    return members | {"request_id": get_request_id(), "errors": []} | more


def problem_response(error: Exception, status: int) -> Response:
    """Make the answer that says to a runner what went wrong."""
    response = Response(json.dumps(problem_json(error, status)), status, mimetype="application/problem+json")
    if isinstance(error, HTTPException):
        response.headers.update({name: value for name, value in error.get_headers() if name != "Content-Type"})
    return response
