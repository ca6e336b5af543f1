"""Finds out who calls and what the token allows, before any job is looked up."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import current_app, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from webapp.api.blueprint import api
from webapp.api.schemas import NO_PARAMETER
from webapp.core.audit import Actor
from webapp.core.errors import Fault, Forbidden, Invalid
from webapp.core.models import Scope
from webapp.core.workspaces import tokens
from webapp.rate_limit import limit_rate

P = ParamSpec("P")
R = TypeVar("R")
View = TypeVar("View", bound=Callable[..., Any])

_PUBLIC = "is_public"
_VALIDATES_QUERY = "validates_query"


def public(view: View) -> View:
    """Mark a view that answers without a token."""
    view.__dict__[_PUBLIC] = True
    return view


def validates_query(view: View) -> View:
    """Mark a view that validates the query itself, where it has a body together with it."""
    view.__dict__[_VALIDATES_QUERY] = True
    return view


def _has_mark(mark: str) -> bool:
    """Return whether the view of this request has a mark; ``needs`` around a view keeps its marks."""
    return hasattr(current_app.view_functions[request.endpoint or ""], mark)


@api.before_request
def admit() -> None:
    """Find the token's workspace. Raises 401 for no token, and for a bad, expired or revoked one, and 429."""
    if _has_mark(_PUBLIC):
        return
    authorization = request.authorization
    bearer = None
    if authorization and authorization.type == "bearer" and authorization.token:
        bearer = tokens.authenticate(authorization.token)
    if bearer is None:
        raise Unauthorized(
            "Send a valid API token of this board: 'Authorization: Bearer cb_…'.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    limit_rate(bearer.id)
    g.bearer = bearer
    g.actor = Actor(bearer.ref, request.remote_addr)


@api.before_request
def reject_unknown_parameters() -> None:
    """Refuse every query parameter of a call that has none. Raises ``Invalid``."""
    # A misspelt filter must not pass for no filter.
    if request.args and not _has_mark(_VALIDATES_QUERY):
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
