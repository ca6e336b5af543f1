"""Turns every error into an answer: a problem document under ``/api/``, a page or a toast elsewhere.

Which status an error has is decided here, for both doors; how it is worded is decided by each door.
"""

import logging

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from webapp.api.problems import problem_response
from webapp.core.database.errors import is_unavailable, lacks_migration
from webapp.core.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from webapp.dashboard.errors import error_response
from webapp.request_id import get_request_id

RETRY_AFTER = "2"
"""Seconds after which a database that is away or busy may have come back."""

log = logging.getLogger(__name__)


def _get_status(error: Exception) -> int:
    match error:
        case NotFound():
            return 404
        case Forbidden():
            return 403
        case Conflict():
            return 409
        case Invalid():
            return 422
        case HTTPException(code=int(code)):
            return code
        case TooManyRequests():
            return 429
        case SQLAlchemyError() if is_unavailable(error):
            return 503
        case _:
            return 500


def _log_error(error: Exception, status: int) -> None:
    if isinstance(error, SQLAlchemyError) and lacks_migration(error):
        log.error("Request %s: the database is not up to date; run `flask --app wsgi db upgrade`.", get_request_id())
    elif status == 503:
        # One line, because while the database is away there is one for each request; and the cause alone, because
        # the whole text repeats the parameters of the statement.
        cause = str(getattr(error, "orig", None) or error).strip()
        log.error("Request %s: the database did not answer: %s", get_request_id(), cause.partition("\n")[0])
    else:
        log.error("Request %s failed.", get_request_id(), exc_info=error)


def _handle_error(error: Exception) -> ResponseReturnValue:
    if isinstance(error, HTTPException) and (error.code is None or error.code < 400):
        return error
    status = _get_status(error)
    if status >= 500:
        _log_error(error, status)
    in_api = request.path.startswith("/api/")
    response = problem_response(error, status) if in_api else error_response(error, status)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after)
    if status == 503:
        response.headers["Retry-After"] = RETRY_AFTER
    if status == 413:
        # The rest of the body is still on its way; the next request cannot follow it on this connection.
        response.headers["Connection"] = "close"
    return response


def _set_request_id(response: Response) -> Response:
    response.headers["X-Request-Id"] = get_request_id()
    return response


def register(app: Flask) -> None:
    """Answer every error, and give every answer its ``X-Request-Id``."""
    app.register_error_handler(Exception, _handle_error)
    app.after_request(_set_request_id)
