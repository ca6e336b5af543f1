"""Errors as answers, in one place: RFC 9457 problem documents for every address under ``/api/``."""

import json
import re
import uuid
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from webapp.api.schemas import job_json
from webapp.core.errors import CoreError, Fault, Forbidden, Invalid, NotFound, Refused
from webapp.dashboard import errors as pages

_SANE_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
NAME_SHOWN = 100
"""Characters of a field's name that a pointer repeats."""


def register(app: Flask) -> None:
    """Errors under ``/api/`` become problem documents, errors elsewhere pages; every answer carries a request id."""
    app.before_request(_name_request)
    app.after_request(_tell_request_id)
    for kind in (CoreError, HTTPException, OperationalError, InterfaceError, PoolTimeout, Exception):
        app.register_error_handler(kind, _answer)


def _name_request() -> None:
    sent = request.headers.get("X-Request-Id", "")
    g.request_id = sent if _SANE_REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())


def _request_id() -> str:
    if "request_id" not in g:
        _name_request()
    return str(g.request_id)


def _tell_request_id(response: Response) -> Response:
    response.headers["X-Request-Id"] = _request_id()
    return response


def _answer(error: Exception) -> ResponseReturnValue:
    if isinstance(error, HTTPException) and (error.code is None or error.code < 400):
        return error
    if not isinstance(error, CoreError | HTTPException):
        current_app.logger.error("request %s failed", _request_id(), exc_info=error)
    return problem(error) if request.path.startswith("/api/") else pages.page(error)


def _pointer(fault: Fault) -> str:
    if fault.path and str(fault.path[0]).startswith("?"):
        return str(fault.path[0])[: NAME_SHOWN + 1]
    steps = (str(step)[:NAME_SHOWN].replace("~", "~0").replace("/", "~1") for step in fault.path)
    return "".join(f"/{step}" for step in steps)


def problem(error: Exception) -> Response:
    """The problem document that tells a runner what went wrong, with every fault at once."""
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    match error:
        case Invalid():
            status, code, detail = 422, "invalid", "What was sent breaks the rules named in errors."
            more["errors"] = [{"pointer": _pointer(fault), "detail": fault.detail} for fault in error.faults]
        case NotFound():
            status, code, detail = 404, "not_found", str(error)
        case Forbidden():
            status, code, detail = 403, "forbidden", str(error)
        case Refused():
            status, code, detail = 409, error.code, str(error)
            if error.job is not None:
                more["job"] = job_json(error.job, without=("payload",))
        case HTTPException() if error.code is not None and error.code >= 400:
            status, detail = error.code, error.description or ""
            code = HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
            headers = {name: value for name, value in error.get_headers() if name not in ("Content-Type",)}
        case OperationalError() | InterfaceError() | PoolTimeout():
            status, code, detail = 503, "unavailable", "The database is away or busy; try again shortly."
            headers["Retry-After"] = "2"
        case _:
            status, code, detail = 500, "internal_error", "Something went wrong here; it has been logged."
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": _request_id(),
        "errors": [],
    }
    response = Response(json.dumps(document | more), status, mimetype="application/problem+json")
    response.headers.update(headers)
    return response
