"""The settings of a workspace, for its owner and admins: one page for each thing, side by side in ``SECTIONS``."""

from collections.abc import Sequence
from typing import Any

from flask import Response, flash, g, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField

from webapp.core.errors import Invalid
from webapp.core.workspaces import deletion, workspaces
from webapp.dashboard.scope import workspace
from webapp.dashboard.sign_in import me

SECTIONS = (
    ("workspace.general", "General"),
    ("workspace.members", "Members"),
    ("workspace.tokens", "Tokens"),
    ("workspace.time_limits", "Time limits"),
    ("workspace.retained", "Retention"),
    ("workspace.webhooks", "Webhooks"),
    ("workspace.audit_log", "Audit log"),
)
"""The sub-navigation: the endpoint of each page of settings, and what it is called."""


OPEN_TO_MEMBERS = "/w/<slug>/settings/members"
"""What every member may see; who may do what there, the core judges act by act."""


@workspace.before_request
def managers_only() -> None:
    """Close every page under /settings, those of other modules too, to who may change nothing there."""
    rule = str(request.url_rule)
    if rule.startswith("/w/<slug>/settings") and not rule.startswith(OPEN_TO_MEMBERS):
        workspaces.require_manager(g.membership)


def sections() -> Sequence[tuple[str, str]]:
    """Those of the ``SECTIONS`` that the person here may open."""
    if g.membership.role.can_manage:
        return SECTIONS
    return [section for section in SECTIONS if section[0] == "workspace.members"]


@workspace.get("/settings")
def settings() -> AnyResponse:
    return redirect(url_for(SECTIONS[0][0]), code=303)


def settings_page(template: str, *, status: int = 200, **told: Any) -> Response:
    """One page of the settings, with the sub-navigation that ``settings/layout.html`` draws."""
    return Response(render_template(template, sections=sections(), **told), status)


def saved(text: str, endpoint: str, **values: Any) -> AnyResponse:
    """The answer to a form that went through: the page again, with a word."""
    flash(text)
    return redirect(url_for(endpoint, **values), code=303)


def show_faults(form: FlaskForm, refusal: Invalid) -> None:
    """Put what the core found wrong beside the fields of the same names."""
    for fault in refusal.faults:
        field = form[str(fault.path[0])]
        field.errors = [*field.errors, fault.detail]


# --- general -----------------------------------------------------------------------------------------------------


class GeneralForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name")


@workspace.get("/settings/general")
def general() -> AnyResponse:
    return settings_page("settings/general.html", form=GeneralForm(name=g.workspace.name))


@workspace.post("/settings/general")
def rename() -> AnyResponse:
    form = GeneralForm()
    try:
        workspaces.rename(g.membership, form.name.data or "", by=me())
    except Invalid as refusal:
        show_faults(form, refusal)
        return settings_page("settings/general.html", status=422, form=form)
    return saved("The name is saved.", ".general")


# --- deleting ----------------------------------------------------------------------------------------------------


@workspace.get("/settings/general/delete")
def confirm_deletion() -> AnyResponse:
    deletion.require_may_delete(g.membership)
    return settings_page("settings/workspace_delete.html", form=GeneralForm(formdata=None))


@workspace.post("/settings/general/delete")
def delete_workspace() -> AnyResponse:
    form = GeneralForm()
    try:
        deletion.delete(g.membership, form.name.data or "", by=me())
    except Invalid as refusal:
        show_faults(form, refusal)
        return settings_page("settings/workspace_delete.html", status=422, form=form)
    flash(f"The workspace {g.workspace.name} is deleted.")
    return redirect(url_for("home.home", all=""), code=303)
