"""Lets pages of listed web sites call the API from a browser (CORS). Without cookies: a token is what opens it."""

from contextlib import suppress

from flask import Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from webapp.api.blueprint import PREFIX, api
from webapp.core.workspaces import origins

ALLOWED_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-None-Match, Prefer, User-Agent, X-Request-Id"
)
ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
EXPOSED_HEADERS = (
    "ETag, Idempotent-Replayed, Location, Preference-Applied, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, "
    "RateLimit-Reset, Retry-After, X-Request-Id"
)
MAX_AGE = "600"
"""Seconds that a browser may remember the answer to a preflight."""


def answer_preflight() -> Response | None:
    """Answer what a browser asks before a call: 204, and what may be sent if any workspace lists the origin."""
    # A preflight carries no token and names no workspace; the call that follows is judged by its token.
    if request.method != "OPTIONS" or not request.path.startswith(PREFIX):
        return None
    if "Origin" not in request.headers or "Access-Control-Request-Method" not in request.headers:
        return None
    response = Response(status=204)
    del response.headers["Content-Type"]
    response.headers["Vary"] = "Origin"
    if origins.is_listed(request.headers["Origin"]):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = MAX_AGE
    return response


# Of the app: a path that is no address of the API, as a job's without an id, is answered by no endpoint of it.
@api.after_app_request
def allow_origin(response: Response) -> Response:
    """Let a page read the answer if the workspace of its token lists its site; an answer without one, if any does."""
    environ = request.environ
    if not environ["PATH_INFO"].startswith(PREFIX) or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
        return response
    response.headers.add("Vary", "Origin")
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        # Runners that are no browser send none, and pay for no look at the database.
        return response
    # While the database is away, no page reads why.
    with suppress(SQLAlchemyError):
        if origins.is_listed(origin, g.bearer.workspace_id if "bearer" in g else None):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    return response
