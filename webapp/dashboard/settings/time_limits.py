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

from webapp.core.errors import Invalid
from webapp.core.jobs import listing, time_limits
from webapp.core.jobs.inputs import Limits
from webapp.core.models import TimeLimits
from webapp.dashboard.auth import me
from webapp.dashboard.filters import format_exactly
from webapp.dashboard.forms import saved, show_faults
from webapp.dashboard.settings import manager_pages, settings_page

_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_WORDS = re.compile(r"(?:\d{1,9} ?(?:s|min|m|h|d) ?)+", re.ASCII)
_WORD = re.compile(r"(\d+) ?([a-z]+)", re.ASCII)


class DurationField(Field):
    """A time in seconds, written as people write it: ``90``, ``90 s``, ``5 min``, ``1 h 30 min``. Empty is null."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return format_exactly(self.data) if self.data else ""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = " ".join(valuelist[0].lower().split()) if valuelist else ""
        self.data = None if not text else _seconds(text)


def _seconds(text: str) -> int:
    """Raises ``ValueError`` with a sentence for who wrote that."""
    if len(text) < 10 and text.isascii() and text.isdecimal():
        return int(text)
    if not _WORDS.fullmatch(text):
        raise ValueError("Write it like 90 s, 5 min or 1 h 30 min.")
    return sum(int(number) * _UNITS[unit] for number, unit in _WORD.findall(text))


class LimitsForm(FlaskForm):  # type: ignore[misc]
    """The limits of every type."""

    heartbeat_timeout = DurationField("Heartbeat within")
    max_duration = DurationField("Longest run")

    @property
    def wanted(self) -> dict[str, Any]:
        return {name: self[name].data for name in time_limits.COLUMNS}


class LimitsOfTypeForm(LimitsForm):
    """The limits of one type."""

    type = StringField("Type", [InputRequired("Which type of job?")])

    @property
    def wanted(self) -> dict[str, Any]:
        return super().wanted | {"type": self.type.data}

    def validate(self, extra_validators: Any = None) -> bool:
        valid = bool(super().validate(extra_validators))
        if valid and not any(self[name].data for name in time_limits.COLUMNS):
            self.heartbeat_timeout.errors = ["Give one of the two. To take limits back, remove them above."]
            return False
        return valid


@manager_pages.get("/time-limits")
def list_time_limits() -> AnyResponse:
    return _page()


@manager_pages.post("/time-limits")
def set_default_time_limits() -> AnyResponse:
    form = LimitsForm()
    return saved("The limits of every type are saved.", ".list_time_limits") if _put(form) else _page(form, status=422)


@manager_pages.post("/time-limits/type")
def set_type_time_limits() -> AnyResponse:
    form = LimitsOfTypeForm(prefix="of-type-")
    if not _put(form):
        return _page(of_type=form, status=422)
    return saved(f"The limits of {form.type.data} are saved.", ".list_time_limits")


@manager_pages.post("/time-limits/remove")
def remove_time_limits() -> AnyResponse:
    type = request.form.get("type", "")
    time_limits.delete_limits(g.membership, type, by=me())
    return saved(f"The limits of {type or 'every type'} are removed.", ".list_time_limits")


def _put(form: LimitsForm) -> bool:
    """Save what a form asks for; false when something is wrong, which the form then tells."""
    if not form.validate_on_submit():
        return False
    try:
        time_limits.set_limits(g.membership, Limits.parse(form.wanted), by=me())
    except Invalid as refusal:
        show_faults(form, refusal)
        return False
    return True


def _page(form: LimitsForm | None = None, of_type: LimitsOfTypeForm | None = None, status: int = 200) -> AnyResponse:
    known = {found.type: found for found in time_limits.list_limits(g.workspace.id)}
    every_type = known.pop(time_limits.EVERY_TYPE, None)
    return settings_page(
        "settings/time_limits.html",
        status=status,
        form=form or LimitsForm(formdata=None, obj=every_type),
        of_type=of_type or _form_of(request.args.get("type"), known),
        known=list(known.values()),
        types=listing.list_types(g.workspace.id),
    )


def _form_of(type: str | None, known: dict[str, TimeLimits]) -> LimitsOfTypeForm:
    return LimitsOfTypeForm(formdata=None, obj=known.get(type or ""), prefix="of-type-")
