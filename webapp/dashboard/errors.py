"""How the core's refusals and every other failure look to a person: a page, or a toast if htmx asked.

Addresses under ``/api/`` have answers of their own; nothing here speaks for them.
"""

from flask import Flask, Response, flash, g, redirect, render_template, request, session, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.accounts import TooManyAttempts
from webapp.core.errors import CoreError, Forbidden, Invalid, NotFound, Refused
from webapp.dashboard import hx, sign_in

_TITLES = {
    400: "That request could not be read",
    403: "You may not do that",
    404: "There is no such page",
    405: "That is not possible here",
    409: "That is no longer possible",
    413: "That is too large",
    422: "Something is not right yet",
    429: "Too many attempts",
    503: "The board cannot reach its database",
}
_SENTENCES = {
    400: "This form was open for too long, or it was sent from elsewhere. Go back, reload the page and try again.",
    404: "It may have been deleted, or it may belong to a workspace you are not in.",
    405: "Go back and use the buttons on the page.",
    413: "Send less at a time.",
    503: "Jobs go on running. Try again in a moment.",
}


def register(app: Flask) -> None:
    """Answer people. The order of registration lets the API take over the addresses under ``/api/``."""

    def answer(error: Exception) -> AnyResponse | Exception:
        if not request.path.startswith("/api/"):
            return page(error)
        if isinstance(error, HTTPException):
            return error
        raise error

    for kind in (CoreError, HTTPException, OperationalError, TimeoutError):
        app.register_error_handler(kind, answer)  # type: ignore[arg-type]


def page(error: Exception) -> AnyResponse:
    """The answer to a person for whatever went wrong."""
    if isinstance(error, CSRFError) and request.endpoint != "sign_in.log_in" and "secret" not in session:
        return sign_in.to_login()
    status, sentence = _status(error), _sentence(error)
    if hx.is_fragment():
        # A failing poll says nothing: the page itself tells that it is trying again.
        answer: AnyResponse = Response(status=status)
        if request.method != "GET":
            answer = hx.toast(sentence, status=status, kind="problem")
    elif isinstance(error, Refused) and error.job is not None and "slug" in g:
        flash(sentence, "problem")
        return redirect(url_for("workspace.job", job_id=error.job.id), code=303)
    else:
        title = str(error).rstrip(".") if isinstance(error, NotFound) else _TITLES.get(status, "Something went wrong")
        told = render_template("error.html", title=title, sentence=sentence, signed_in=_is_signed_in(status))
        answer = Response(told, status)
    if isinstance(error, TooManyAttempts):
        answer.headers["Retry-After"] = str(error.retry_after)
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _is_signed_in(status: int) -> bool:
    """Whether to draw the board around an error. After a fault of ours the database is asked nothing."""
    if status >= 500:
        return False
    if "user" not in g:
        sign_in.load()
    return g.user is not None


def _status(error: Exception) -> int:
    match error:
        case NotFound():
            return 404
        case Forbidden():
            return 403
        case Refused():
            return 409
        case Invalid():
            return 422
        case TooManyAttempts():
            return 429
        case OperationalError() | TimeoutError():
            return 503
        case HTTPException() if error.code:
            return error.code
        case _:
            return 500


def _sentence(error: Exception) -> str:
    status = _status(error)
    if isinstance(error, TooManyAttempts):
        return "Wait a few minutes and try again."
    if isinstance(error, CoreError) and not isinstance(error, NotFound):
        return str(error)
    return _SENTENCES.get(status, "It is not your doing. Try again; if it stays, tell whoever runs this board.")
