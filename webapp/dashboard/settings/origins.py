"""The web sites whose pages may call the API with a token of a workspace, among its settings."""

from flask import Response, g
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import TextAreaField

from webapp.core.errors import Invalid
from webapp.core.workspaces import origins
from webapp.dashboard.auth import current_actor
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, settings_page


class OriginsForm(FlaskForm):  # type: ignore[misc]
    origins = TextAreaField("Allowed sites")


@manager_pages.get("/origins")
def show_origins() -> AnyResponse:
    return _origins_page(OriginsForm(origins="\n".join(origins.list_origins(g.workspace.id))))


def _origins_page(form: OriginsForm, status: int = 200) -> Response:
    return settings_page("settings/origins.html", status=status, form=form, limit=origins.LIMIT)


@manager_pages.post("/origins")
def update_origins() -> AnyResponse:
    form = OriginsForm()
    try:
        origins.replace(g.membership, (form.origins.data or "").split(), by=current_actor())
    except Invalid as error:
        show_faults(form, error)
        return _origins_page(form, 422)
    return redirect_with_message("The sites are saved.", ".show_origins")
