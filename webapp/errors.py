"""Whatever goes wrong becomes an answer here, in one place for both doors: a problem document under ``/api/``, a page
or a toast elsewhere. Each door has its own words; what kind of failure it is, is decided once.
"""

import logging

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from webapp.api.problems import problem
from webapp.core.database.errors import is_unavailable, lacks_migration
from webapp.core.errors import Conflict, Forbidden, Invalid, NotFound
from webapp.dashboard.errors import page
from webapp.request_id import request_id

RETRY_AFTER = "2"
"""Seconds after which a database that is away or busy may have come back."""

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Answer for every failure, and give every answer its ``X-Request-Id``."""
    app.register_error_handler(Exception, _answer)
    app.after_request(_tell_request_id)


def _tell_request_id(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    return response


def _answer(error: Exception) -> ResponseReturnValue:
    if isinstance(error, HTTPException) and (error.code is None or error.code < 400):
        return error
    status = _status(error)
    if status >= 500:
        _log(error, status)
    in_api = request.path.startswith("/api/")
    answer = problem(error, status) if in_api else page(error, status)
    if status == 503:
        answer.headers["Retry-After"] = RETRY_AFTER
    if status == 413:
        # The rest of the body is still on its way; the next request cannot follow it on this connection.
        answer.headers["Connection"] = "close"
    return answer


def _status(error: Exception) -> int:
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
        case SQLAlchemyError() if is_unavailable(error):
            return 503
        case _:
            return 500


def _log(error: Exception, status: int) -> None:
    if isinstance(error, SQLAlchemyError) and lacks_migration(error):
        log.error("Request %s: the database is not up to date; run `flask --app wsgi db upgrade`.", request_id())
    elif status == 503:
        # One line: while the database is away there is one for each request. The cause alone, for the whole text
        # repeats the parameters of the statement.
        cause = str(getattr(error, "orig", None) or error).strip()
        log.error("Request %s: the database did not answer: %s", request_id(), cause.partition("\n")[0])
    else:
        log.error("Request %s failed.", request_id(), exc_info=error)
