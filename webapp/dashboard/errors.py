"""Show the core's refusals and every other failure to a person: as a page, or as a toast if htmx asked.

Which status it is, ``webapp.errors`` has decided.
"""

from contextlib import suppress

from flask import Response, current_app, flash, g, redirect, render_template, request, session, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import MisdirectedRequest
from werkzeug.wrappers import Response as AnyResponse

from webapp.client_address import UnclearAddress
from webapp.core.errors import Conflict, CoreError, NotFound
from webapp.core.jobs import JobConflict
from webapp.dashboard import auth, hx

_TITLES = {
    400: "That request could not be read",
    403: "You may not do that",
    404: "There is no such page",
    405: "That is not possible here",
    409: "That is no longer possible",
    413: "That is too large",
    421: "This board has another address",
    422: "Something is not right yet",
    429: "That was too much at once",
    503: "The board cannot reach its database",
}
_SENTENCES = {
    400: "This form was open for too long, or it was sent from elsewhere. Go back, reload the page and try again.",
    403: "Another site sent this. Open the board itself, and do it there.",
    404: "It may have been deleted, or it may belong to a workspace you are not in.",
    405: "Go back and use the buttons on the page.",
    413: "Send less at a time.",
    503: "Jobs go on running. Try again in a moment.",
}
_OPEN_FORMS = frozenset({"auth.log_in", "invitations.accept_invitation"})
"""Endpoints of forms for people who are not signed in: to lead them to the login would be a circle."""


def error_response(error: Exception, status: int) -> AnyResponse:
    """Answer a person for whatever went wrong."""
    if isinstance(error, CSRFError) and request.endpoint not in _OPEN_FORMS and "secret" not in session:
        return auth.redirect_to_login()
    sentence = _sentence(error, status)
    if hx.is_fragment():
        # A failing poll says nothing: the page itself says that it is trying again.
        return (
            Response(status=status)
            if request.method == "GET"
            else hx.show_toast(sentence, status=status, kind="problem")
        )
    if isinstance(error, JobConflict) and "slug" in g:
        flash(sentence, "problem")
        return redirect(url_for("workspace.show_job", job_id=error.job.id), code=303)
    return _error_page(error, status, sentence)


def _sentence(error: Exception, status: int) -> str:
    if isinstance(error, CoreError) and not isinstance(error, NotFound):
        return str(error)
    public_url = current_app.config["PUBLIC_URL"]
    if isinstance(error, UnclearAddress):
        return error.description or ""
    if isinstance(error, MisdirectedRequest):
        return f"Open it at {public_url}. The administrator adds other names to TRUSTED_HOSTS, or changes PUBLIC_URL."
    if _lacks_cookie(error):
        why = ", because it keeps those of this board for https alone" if public_url.startswith("https:") else ""
        return f"Your browser sent no cookie back{why}. Open the board at {public_url}, with cookies allowed."
    return _SENTENCES.get(status, "It is not your doing. Try again; if it stays, tell whoever runs this board.")


def _error_page(error: Exception, status: int, sentence: str) -> Response:
    title = _title(error, status)
    # Home under this name would lead to this page again.
    is_elsewhere = isinstance(error, MisdirectedRequest) or _lacks_cookie(error)
    board = current_app.config["PUBLIC_URL"] if is_elsewhere else url_for("home.show_home")
    html = render_template("error.html", title=title, sentence=sentence, board=board, signed_in=_is_signed_in(status))
    return Response(html, status)


def _lacks_cookie(error: Exception) -> bool:
    """Return whether a form was refused because the browser does not send the cookies of this address."""
    return isinstance(error, CSRFError) and current_app.config["SESSION_COOKIE_NAME"] not in request.cookies


def _title(error: Exception, status: int) -> str:
    if isinstance(error, NotFound):
        return str(error).rstrip(".")
    if isinstance(error, Conflict) and error.code == "too_many":
        return "Limit reached"
    return _TITLES.get(status, "Something went wrong")


def _is_signed_in(status: int) -> bool:
    """Return whether to draw the board around an error. After a fault of ours the database is asked nothing."""
    if status >= 500 or status == 421:
        return False
    if "user" not in g:
        # A page that is missing is answered as missing, even while the database is away.
        with suppress(SQLAlchemyError):
            auth.load_session()
    return g.user is not None
