"""Share what the forms of several pages need: fields, faults beside them, and the answer once a form went through."""

from datetime import UTC, datetime
from typing import Any

from flask import flash, redirect, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import DateTimeLocalField

from webapp.core.errors import Invalid

NO_MOMENT = "A day and a time, as in 2026-11-24 14:02."


class MomentField(DateTimeLocalField):
    """A day and a time in UTC; whatever is none is answered with a sentence."""

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(NO_MOMENT) from None

    @property
    def moment(self) -> datetime | None:
        return self.data.replace(tzinfo=UTC) if self.data else None


def show_faults(form: FlaskForm, error: Invalid) -> None:
    """Put what the core found wrong beside the fields of the same names."""
    for fault in error.faults:
        field = form[str(fault.path[0])]
        field.errors = [*field.errors, fault.detail]


def redirect_with_message(text: str, endpoint: str, **values: Any) -> AnyResponse:
    """Answer a form that went through: lead to a page, which shows ``text`` once."""
    flash(text)
    return redirect(url_for(endpoint, **values), code=303)
