"""Where one arrives: the workspace last used, or the list of one's workspaces."""

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField

from webapp.core.errors import Conflict, Invalid
from webapp.core.workspaces import workspaces
from webapp.dashboard import auth

pages = Blueprint("home", __name__)


class WorkspaceForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name")
    slug = StringField("Address")


@pages.get("/")
def show_home() -> AnyResponse | str:
    if away := auth.required():
        return away
    mine = workspaces.list_memberships(g.user.id)
    last = next((found for found in mine if found.workspace_id == g.user.last_workspace_id), None)
    chosen = last or (mine[0] if len(mine) == 1 else None)
    if chosen and "all" not in request.args:
        return redirect(url_for("workspace.list_jobs", slug=chosen.workspace.slug), code=303)
    return render_template("home/workspaces.html", memberships=mine, form=WorkspaceForm())


@pages.post("/workspaces")
def create_workspace() -> AnyResponse | Response:
    """Make a workspace; whoever is signed in may, and owns it."""
    if away := auth.required():
        return away
    form = WorkspaceForm()
    name = form.name.data or ""
    slug = (form.slug.data or "").strip() or workspaces.suggest_slug(name)
    try:
        made = workspaces.create(name, slug, owner=g.user, by=auth.me())
    except Invalid as refusal:
        for fault in refusal.faults:
            form[str(fault.path[0])].errors = [fault.detail]
    except Conflict as refusal:
        form.slug.errors = [str(refusal)]
    else:
        flash(f"The workspace {made.name} is yours.")
        return redirect(url_for("workspace.list_jobs", slug=made.slug), code=303)
    told = render_template("home/workspaces.html", memberships=workspaces.list_memberships(g.user.id), form=form)
    return Response(told, 422)
