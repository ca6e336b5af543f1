"""Everything we say to htmx and hear from it, in one place; a thin coat over htmx_flask.

htmx 4 renamed what htmx_flask reads as ``trigger`` and ``target``, so only its request mark, its history mark and its
response headers are used, and only from here.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Response, flash, redirect
from htmx_flask import make_response, request
from werkzeug.wrappers import Response as AnyResponse

from webapp.metrics import polls


def is_fragment() -> bool:
    """Whether htmx asks for a piece of a page; it asks for the whole one when it restores history."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def path_of(address: str | None) -> str | None:
    """The path and query of what a browser calls an address; null when it is none."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return None
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or None


def current_address() -> str | None:
    """The path and query of the page on which htmx asks."""
    return path_of(request.htmx.current_url)


def toast(text: str, *, status: int, kind: str = "done") -> Response:
    """News instead of markup: a toast, and the word to every fragment on the page to fetch itself again."""
    response: Response = make_response(
        "", status, trigger={"toast": {"text": text, "kind": kind}, "jobs-changed": {"after": "command"}}
    )
    return response


def done(text: str, address: str) -> AnyResponse:
    """The answer to a command that went through: news to htmx, else the page at ``address`` with a flash message."""
    if is_fragment():
        return toast(text, status=204)
    flash(text)
    return redirect(address, code=303)


def leave_for(address: str) -> Response:
    """Send the whole page elsewhere; a redirect would put the other page inside the fragment."""
    response: Response = make_response("", 401, redirect=address)
    return response


def fresh(etag: str, render: Callable[[], str]) -> Response:
    """A fragment, rendered only if the browser does not hold this version of it already."""
    if request.if_none_match.contains_weak(etag):
        response = Response(status=304)
    else:
        response = Response(render(), mimetype="text/html")
    polls.labels(str(response.status_code)).inc()
    response.set_etag(etag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("HX-Request")
    return response
