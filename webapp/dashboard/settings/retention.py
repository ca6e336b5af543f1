"""The settings page of retention: how long finished jobs are kept, and how many would go, before anything is saved."""

from flask import g, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import IntegerField
from wtforms.validators import Optional

from webapp.core.chores import retention
from webapp.core.chores.retention import DAYS_RULE, Days
from webapp.core.errors import Invalid
from webapp.core.jobs.listing import Count
from webapp.dashboard.auth import current_actor
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, settings_page


class DaysField(IntegerField):
    """A whole number of days; empty is ``None``."""

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(DAYS_RULE) from None


class RetentionForm(FlaskForm):  # type: ignore[misc]
    """One field for each final status, named as the status is."""

    completed = DaysField("Completed", [Optional()])
    failed = DaysField("Failed", [Optional()])
    canceled = DaysField("Canceled", [Optional()])

    @property
    def days(self) -> Days:
        return {status: self[status].data for status in retention.STATUSES if self[status].data is not None}


@manager_pages.get("/retention")
def show_retention() -> AnyResponse:
    """Show what is set; or, where the address names other days, how many jobs those would delete."""
    if any(status in request.args for status in retention.STATUSES):
        form = RetentionForm(formdata=request.args, meta={"csrf": False})
        return _retention_page(form, preview=True) if _is_valid(form) else _faulty_page(form)
    days = retention.get_retention(g.workspace.id)
    return _retention_page(RetentionForm(formdata=None, data={status.value: count for status, count in days.items()}))


@manager_pages.post("/retention")
def set_retention() -> AnyResponse:
    form = RetentionForm()
    if not _is_valid(form):
        return _faulty_page(form)
    retention.set_retention(g.membership, form.days, by=current_actor())
    return redirect_with_message("The retention is saved.", ".show_retention")


def _is_valid(form: RetentionForm) -> bool:
    if not form.validate():
        return False
    try:
        retention.validate(form.days)
    except Invalid as error:
        show_faults(form, error)
        return False
    return True


def _retention_page(form: RetentionForm, *, preview: bool = False) -> AnyResponse:
    """Show the form with how many jobs its days delete; in a ``preview`` they are not saved yet."""
    due = retention.count_due(g.workspace.id, form.days)
    total = Count(sum(count.count for count in due.values()), any(count.capped for count in due.values()))
    return settings_page("settings/retention.html", form=form, preview=preview, due=due, total=total)


def _faulty_page(form: RetentionForm) -> AnyResponse:
    return settings_page("settings/retention.html", status=422, form=form, preview=False, due={}, total=Count(0, False))
