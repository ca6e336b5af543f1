"""Share what the forms of several pages need: the core's faults beside the fields, and the answer to what was saved."""

from typing import Any

from flask import flash, redirect, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.errors import Invalid


def saved(text: str, endpoint: str, **values: Any) -> AnyResponse:
    """The answer to a form that went through: the page again, with a word."""
    flash(text)
    return redirect(url_for(endpoint, **values), code=303)


def show_faults(form: FlaskForm, refusal: Invalid) -> None:
    """Put what the core found wrong beside the fields of the same names."""
    for fault in refusal.faults:
        field = form[str(fault.path[0])]
        field.errors = [*field.errors, fault.detail]
