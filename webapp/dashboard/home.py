"""Where one arrives: the workspace last used, or the list of one's workspaces, where a new one is made."""

from collections.abc import Sequence

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField

from webapp.core.bidi import isolate
from webapp.core.errors import Conflict, Invalid
from webapp.core.models import Membership
from webapp.core.workspaces import workspaces
from webapp.dashboard.auth import current_actor, require_login
from webapp.dashboard.forms import redirect_with_message, show_faults

pages = Blueprint("home", __name__)


class WorkspaceForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name")
    slug = StringField("Address")


pages.before_request(require_login)


@pages.get("/")
def show_home() -> AnyResponse:
    """Lead to the workspace last used, or to the only one; list them where there is no such, or by ``?all``."""
    memberships = workspaces.list_memberships(g.user.id)
    preferred = _preferred(memberships)
    if preferred and "all" not in request.args:
        return redirect(url_for("workspace.list_jobs", slug=preferred.workspace.slug), code=303)
    return _workspaces_page(WorkspaceForm(), memberships)


def _preferred(memberships: Sequence[Membership]) -> Membership | None:
    last_used = (member for member in memberships if member.workspace_id == g.user.last_workspace_id)
    return next(last_used, memberships[0] if len(memberships) == 1 else None)


def _workspaces_page(form: WorkspaceForm, memberships: Sequence[Membership], status: int = 200) -> Response:
    return Response(render_template("home/workspaces.html", memberships=memberships, form=form), status)


@pages.post("/workspaces")
def create_workspace() -> AnyResponse:
    """Make a workspace; whoever is signed in may, and owns it."""
    form = WorkspaceForm()
    name = form.name.data or ""
    slug = (form.slug.data or "").strip() or workspaces.suggest_slug(name)
    try:
        workspace = workspaces.create(name, slug, owner=g.user, by=current_actor())
    except Invalid as error:
        show_faults(form, error)
    except Conflict as error:
        (form.slug if error.code == "slug_taken" else form.name).errors = [str(error)]
    else:
        return redirect_with_message(
            f"The workspace {isolate(workspace.name)} is yours.", "workspace.list_jobs", slug=workspace.slug
        )
    return _workspaces_page(form, workspaces.list_memberships(g.user.id), 422)
