"""The settings page of time limits: those of every type, those of one, and the forms that change them."""

import re
from collections.abc import Sequence
from typing import Any

from flask import g, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Field, StringField
from wtforms.validators import InputRequired
from wtforms.widgets import TextInput

from webapp.core.bidi import isolate
from webapp.core.errors import Invalid
from webapp.core.jobs import listing, time_limits
from webapp.core.jobs.inputs import Limits
from webapp.core.models import TimeLimits
from webapp.dashboard.auth import current_actor
from webapp.dashboard.filters import format_exactly
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, settings_page

_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_WORDS = re.compile(r"(?:\d{1,9} ?(?:s|min|m|h|d) ?)+", re.ASCII)
_WORD = re.compile(r"(\d+) ?([a-z]+)", re.ASCII)


def parse_duration(text: str) -> int:
    """Return the seconds that people mean by ``90``, ``90 s``, ``5 min`` or ``1 h 30 min``.

    Raises ``ValueError`` with a sentence for whoever wrote something else.
    """
    if len(text) < 10 and text.isascii() and text.isdecimal():
        return int(text)
    if not _WORDS.fullmatch(text):
        raise ValueError("Write it like 90 s, 5 min or 1 h 30 min.")
    return sum(int(number) * _UNITS[unit] for number, unit in _WORD.findall(text))


class DurationField(Field):
    """A time in seconds, written as people write it. Empty is ``None``."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return format_exactly(self.data) if self.data else ""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = " ".join(valuelist[0].lower().split()) if valuelist else ""
        self.data = parse_duration(text) if text else None


class LimitsForm(FlaskForm):  # type: ignore[misc]
    """The limits of every type."""

    heartbeat_timeout = DurationField("Heartbeat within")
    max_duration = DurationField("Longest run")

    @property
    def values(self) -> dict[str, Any]:
        """The limits that the form sets, as the core takes them."""
        return {name: self[name].data for name in time_limits.COLUMNS}


class TypeLimitsForm(LimitsForm):
    """The limits of one type."""

    type = StringField("Type", [InputRequired("Which type of job?")])

    @property
    def values(self) -> dict[str, Any]:
        return super().values | {"type": self.type.data}

    def validate(self, extra_validators: Any = None) -> bool:
        valid = bool(super().validate(extra_validators))
        if valid and not any(self[name].data for name in time_limits.COLUMNS):
            self.heartbeat_timeout.errors = ["Give one of the two. To take limits back, remove them above."]
            return False
        return valid


@manager_pages.get("/time-limits")
def list_time_limits() -> AnyResponse:
    return _limits_page()


def _limits_page(
    form: LimitsForm | None = None, type_form: TypeLimitsForm | None = None, status: int = 200
) -> AnyResponse:
    limits_by_type = {limits.type: limits for limits in time_limits.list_limits(g.workspace.id)}
    default = limits_by_type.pop(time_limits.EVERY_TYPE, None)
    return settings_page(
        "settings/time_limits.html",
        status=status,
        form=form or LimitsForm(formdata=None, obj=default),
        type_form=type_form or _type_form(limits_by_type.get(request.args.get("type", ""))),
        type_limits=list(limits_by_type.values()),
        types=listing.list_types(g.workspace.id),
    )


def _type_form(limits: TimeLimits | None) -> TypeLimitsForm:
    return TypeLimitsForm(formdata=None, obj=limits, prefix="of-type-")


@manager_pages.post("/time-limits")
def set_default_time_limits() -> AnyResponse:
    form = LimitsForm()
    if not _save(form):
        return _limits_page(form, status=422)
    return redirect_with_message("The limits of every type are saved.", ".list_time_limits")


@manager_pages.post("/time-limits/type")
def set_type_time_limits() -> AnyResponse:
    form = TypeLimitsForm(prefix="of-type-")
    if not _save(form):
        return _limits_page(type_form=form, status=422)
    return redirect_with_message(f"The limits of {isolate(form.type.data or '')} are saved.", ".list_time_limits")


def _save(form: LimitsForm) -> bool:
    """Save the limits of a form; return ``False`` when something is wrong, which then stands beside its field."""
    if not form.validate_on_submit():
        return False
    try:
        time_limits.set_limits(g.membership, Limits.parse(form.values), by=current_actor())
    except Invalid as error:
        show_faults(form, error)
        return False
    return True


@manager_pages.post("/time-limits/remove")
def remove_time_limits() -> AnyResponse:
    type = request.form.get("type", "")
    time_limits.delete_limits(g.membership, type, by=current_actor())
    return redirect_with_message(
        f"The limits of {isolate(type) if type else 'every type'} are removed.", ".list_time_limits"
    )
