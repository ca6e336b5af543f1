"""Who calls, and what the token allows; judged before any job is looked up."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from webapp.api.blueprint import api
from webapp.api.schemas import NO_PARAMETER
from webapp.core.audit import Actor
from webapp.core.errors import Fault, Forbidden, Invalid
from webapp.core.models import Scope
from webapp.core.workspaces import tokens

P = ParamSpec("P")
R = TypeVar("R")

OPEN_ENDPOINTS = frozenset({"api.openapi_document"})
"""What anybody may read."""
JUDGE_THEIR_QUERY = frozenset(
    {"api.list_jobs", "api.read_lines", "api.create", "api.report", "api.report_several", "api.append_lines"}
)
"""These judge their parameters themselves, those with a body together with it."""


@api.before_request
def admit() -> None:
    """Find the token's workspace. Raises 401 for no token, and for a bad, expired or revoked one."""
    if request.endpoint in OPEN_ENDPOINTS:
        return
    sent = request.authorization
    bearer = tokens.authenticate(sent.token) if sent and sent.type == "bearer" and sent.token else None
    if bearer is None:
        raise Unauthorized(
            "Send a valid API token of this board: 'Authorization: Bearer cb_…'.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    g.bearer = bearer
    g.actor = Actor(bearer.ref, request.remote_addr)


@api.before_request
def know_every_parameter() -> None:
    """Most calls have no query parameters. Raises ``Invalid``: a misspelt filter must not pass for no filter."""
    if request.args and request.endpoint not in JUDGE_THEIR_QUERY:
        raise Invalid([Fault((f"?{name}",), NO_PARAMETER) for name in request.args])


def needs(scope: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view answer only tokens with this scope. Raises ``Forbidden``."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if scope not in g.bearer.scopes:
                raise Forbidden(f"The token lacks the scope {scope}.")
            return view(*args, **kwargs)

        return guarded

    return decorate
