"""The first page of a workspace's settings: its name, its limits, and its deletion."""

from flask import Response, g, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField

from webapp.core.bidi import isolate
from webapp.core.errors import Invalid
from webapp.core.stats.limit_usage import list_limit_usage
from webapp.core.workspaces import deletion, workspaces
from webapp.dashboard.auth import current_actor
from webapp.dashboard.confirmation import requires_password
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, settings_page

LIMIT_TITLES = {
    "members": "Members",
    "invitations": "Open invitations",
    "invitations-per-day": "Invitations sent in 24 hours",
    "tokens": "Active tokens",
    "tokens-per-day": "Tokens created in 24 hours",
    "webhooks": "Webhooks",
    "time-limits": "Types with time limits",
    "payload-mib-per-day": "Payloads and results today",
    "log-mib-per-day": "Log lines today",
}
"""What the page calls the limits of a workspace."""


class GeneralForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name")


@manager_pages.get("/general")
def show_general() -> AnyResponse:
    return _general_page(GeneralForm(name=g.workspace.name))


def _general_page(form: GeneralForm, status: int = 200) -> Response:
    usage = list_limit_usage(g.workspace.id)
    return settings_page("settings/general.html", status=status, form=form, limits=usage, titles=LIMIT_TITLES)


@manager_pages.post("/general")
def rename_workspace() -> AnyResponse:
    form = GeneralForm()
    try:
        workspaces.rename(g.membership, form.name.data or "", by=current_actor())
    except Invalid as error:
        show_faults(form, error)
        return _general_page(form, 422)
    return redirect_with_message("The name is saved.", ".show_general")


@manager_pages.get("/general/delete")
def confirm_delete_workspace() -> AnyResponse:
    deletion.require_may_delete(g.membership)
    return _deletion_page(GeneralForm(formdata=None))


def _deletion_page(form: GeneralForm, status: int = 200) -> Response:
    return settings_page("settings/workspace_delete.html", status=status, form=form, back=url_for(".show_general"))


@manager_pages.post("/general/delete")
@requires_password
def delete_workspace() -> AnyResponse:
    form = GeneralForm()
    try:
        deletion.delete(g.membership, form.name.data or "", by=current_actor())
    except Invalid as error:
        show_faults(form, error)
        return _deletion_page(form, 422)
    return redirect_with_message(f"The workspace {isolate(g.workspace.name)} is deleted.", "home.show_home", all="")
