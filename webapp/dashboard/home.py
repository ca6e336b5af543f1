"""Where one arrives: the workspace last used, or the list of one's workspaces."""

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField

from webapp.core.errors import Invalid, Refused
from webapp.core.workspaces import workspaces
from webapp.dashboard import sign_in

pages = Blueprint("home", __name__)


class WorkspaceForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name")
    slug = StringField("Address")


@pages.get("/")
def home() -> AnyResponse | str:
    if away := sign_in.required():
        return away
    mine = workspaces.of_user(g.user.id)
    last = next((found for found in mine if found.workspace_id == g.user.last_workspace_id), None)
    chosen = last or (mine[0] if len(mine) == 1 else None)
    if chosen and "all" not in request.args:
        return redirect(url_for("workspace.job_list", slug=chosen.workspace.slug), code=303)
    return render_template("home/workspaces.html", memberships=mine, form=WorkspaceForm())


@pages.post("/workspaces")
def create_workspace() -> AnyResponse | Response:
    """Make a workspace; whoever is signed in may, and owns it."""
    if away := sign_in.required():
        return away
    form = WorkspaceForm()
    name = form.name.data or ""
    slug = (form.slug.data or "").strip() or workspaces.free_slug(name)
    try:
        made = workspaces.create(name, slug, owner=g.user, by=sign_in.me())
    except Invalid as refusal:
        for fault in refusal.faults:
            form[str(fault.path[0])].errors = [fault.detail]
    except Refused as refusal:
        form.slug.errors = [str(refusal)]
    else:
        flash(f"The workspace {made.name} is yours.")
        return redirect(url_for("workspace.job_list", slug=made.slug), code=303)
    told = render_template("home/workspaces.html", memberships=workspaces.of_user(g.user.id), form=form)
    return Response(told, 422)
