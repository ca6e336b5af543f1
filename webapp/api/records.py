"""Says what a token may see of a job in an answer to its reports."""

from flask import g

from webapp.core.models import Scope

RESULT_FIELDS = ("result", "error")
"""What came of a job: for tokens that may read jobs alone, whatever else they may do to one."""


def hidden_fields() -> tuple[str, ...]:
    """Return the fields of a job that the token of this request may not see."""
    return () if Scope.READ in g.bearer.scopes else RESULT_FIELDS
