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
from webapp.dashboard.auth import me
from webapp.dashboard.forms import saved, show_faults
from webapp.dashboard.settings import manager_pages, settings_page


class DaysField(IntegerField):
    """A whole number of days; empty is null."""

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
    """What is set; or, asked with other days, how many jobs those would delete."""
    if any(status in request.args for status in retention.STATUSES):
        return _page(RetentionForm(formdata=request.args, meta={"csrf": False}), asked=True)
    kept = retention.get_retention(g.workspace.id)
    return _page(RetentionForm(formdata=None, data={status.value: days for status, days in kept.items()}))


@manager_pages.post("/retention")
def set_retention() -> AnyResponse:
    form = RetentionForm()
    if not _is_right(form):
        return _page(form, asked=True)
    retention.set_retention(g.membership, form.days, by=me())
    return saved("The retention is saved.", ".show_retention")


def _is_right(form: RetentionForm) -> bool:
    if not form.validate():
        return False
    try:
        retention.validate(form.days)
    except Invalid as refusal:
        show_faults(form, refusal)
        return False
    return True


def _page(form: RetentionForm, *, asked: bool = False) -> AnyResponse:
    """The form, with how many jobs its days would delete; ``asked`` if they are not what is set, or not yet."""
    right = not asked or _is_right(form)
    due = retention.count_due(g.workspace.id, form.days) if right else {}
    total = Count(sum(count.count for count in due.values()), any(count.capped for count in due.values()))
    told = {"form": form, "asked": asked and right, "due": due, "total": total}
    return settings_page("settings/retention.html", status=200 if right else 422, **told)
