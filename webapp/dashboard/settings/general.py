"""The first page of a workspace's settings: its name, and its deletion."""

from flask import Response, g, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField

from webapp.core.bidi import isolate
from webapp.core.errors import Invalid
from webapp.core.workspaces import deletion, workspaces
from webapp.dashboard.auth import current_actor
from webapp.dashboard.confirmation import requires_password
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, settings_page


class GeneralForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name")


@manager_pages.get("/general")
def show_general() -> AnyResponse:
    return settings_page("settings/general.html", form=GeneralForm(name=g.workspace.name))


@manager_pages.post("/general")
def rename_workspace() -> AnyResponse:
    form = GeneralForm()
    try:
        workspaces.rename(g.membership, form.name.data or "", by=current_actor())
    except Invalid as error:
        show_faults(form, error)
        return settings_page("settings/general.html", status=422, form=form)
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
