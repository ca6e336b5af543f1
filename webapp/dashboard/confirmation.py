"""Asks for the password again before an act that gives access away or destroys.

The page that asks carries what was filled in, and sends it to where it was going: nothing is typed twice.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Response, g, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.accounts import sessions
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.errors import Invalid
from webapp.dashboard.auth import current_actor

FIELD = "confirm_password"
_OWN_FIELDS = frozenset({FIELD, "csrf_token"})

P = ParamSpec("P")


def requires_password(view: Callable[P, AnyResponse]) -> Callable[P, AnyResponse]:
    """Let a view act only where the password was typed within the last minutes; else ask for it first."""

    @wraps(view)
    def act_if_confirmed(*args: P.args, **kwargs: P.kwargs) -> AnyResponse:
        if not sessions.is_confirmed(g.session):
            password = request.form.get(FIELD)
            if password is None:
                return _confirmation_page(status=403)
            try:
                sessions.confirm(g.session, password, by=current_actor())
            except Invalid:
                return _confirmation_page("That is not your password.", status=422)
            except TooManyAttempts as error:
                response = _confirmation_page(str(error), status=429)
                response.headers["Retry-After"] = str(error.retry_after)
                return response
        return view(*args, **kwargs)

    return act_if_confirmed


def _confirmation_page(problem: str | None = None, *, status: int) -> Response:
    fields = [(name, value) for name, value in request.form.items(multi=True) if name not in _OWN_FIELDS]
    return Response(render_template("auth/confirm_password.html", fields=fields, field=FIELD, problem=problem), status)
