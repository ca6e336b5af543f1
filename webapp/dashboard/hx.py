"""Read what htmx says in its requests, and answer it.

htmx 4 renamed what htmx_flask reads as ``trigger`` and ``target``, so only its request mark, its history mark and its
response headers are used, and only from here.
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from flask import Response, flash, redirect
from htmx_flask import make_response, request
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import clock
from webapp.etags import is_unchanged
from webapp.metrics import polls

HELD = "Board-Holds"
"""The header in which a page names what it holds: elements with ``data-held``, whose id tells their content."""


def is_fragment() -> bool:
    """Return whether htmx asks for a piece of a page; it asks for the whole one when it restores history."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def extract_path(url: str | None) -> str | None:
    """Return the path and query of a URL, as a browser sent it; ``None`` when it is none."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or None


def current_path() -> str | None:
    """Return the path and query of the page on which htmx asks."""
    return extract_path(request.htmx.current_url)


def list_held() -> Sequence[str]:
    """Return the ids of what the page holds already and need not be sent again."""
    held: str = request.headers.get(HELD, "")
    return held.split()


def show_toast(text: str, *, status: int, kind: str = "done") -> Response:
    """Answer with news instead of markup: a toast, and the word to every fragment on the page to fetch itself again."""
    response: Response = make_response(
        "", status, trigger={"toast": {"text": text, "kind": kind}, "jobs-changed": {"after": "command"}}
    )
    return response


def command_answer(text: str, path: str) -> AnyResponse:
    """Answer a command that went through: with news to htmx, else with the page at ``path`` and a flash message."""
    if is_fragment():
        return show_toast(text, status=204)
    flash(text)
    return redirect(path, code=303)


def redirect_page(path: str) -> Response:
    """Send the whole page elsewhere; an ordinary redirect would put the other page inside the fragment."""
    response: Response = make_response("", 401, redirect=path)
    return response


def conditional_fragment(etag: str, render: Callable[[], str]) -> Response:
    """Answer with a fragment, rendered only if the browser does not hold this version of it already.

    ``Board-Time`` says when: the page draws ages by it.
    """
    response = Response(status=304) if is_unchanged(etag) else Response(render(), mimetype="text/html")
    polls.labels(str(response.status_code)).inc()
    response.set_etag(etag, weak=True)
    # Not "Date": it knows whole seconds, and proxies write their own.
    response.headers["Board-Time"] = clock.to_iso(clock.now(), "milliseconds")
    # The page itself keeps the version that it shows and sends its ETag.
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("HX-Request")
    return response
