"""The settings of a workspace, one page for each thing: whose blueprint a page belongs to says who may open it."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.workspaces import workspaces
from webapp.dashboard.scope import workspace

manager_pages = Blueprint("settings", __name__, url_prefix="/settings")
"""The pages that the owner and the admins may open."""
member_pages = Blueprint("members", __name__, url_prefix="/settings/members")
"""What every member may see; who may do what there, the core judges act by act."""

workspace.register_blueprint(manager_pages)
workspace.register_blueprint(member_pages)

_MEMBERS = ("workspace.members.list_members", "Members")
SECTIONS = (
    ("workspace.settings.show_general", "General"),
    _MEMBERS,
    ("workspace.settings.list_tokens", "Tokens"),
    ("workspace.settings.show_origins", "Browser access"),
    ("workspace.settings.list_time_limits", "Time limits"),
    ("workspace.settings.show_retention", "Retention"),
    ("workspace.settings.list_webhooks", "Webhooks"),
    ("workspace.settings.show_audit_log", "Audit log"),
)
"""The sub-navigation: the endpoint of each page of settings, and what it is called."""


@manager_pages.before_request
def require_manager() -> None:
    """Close every page of this blueprint to who may change nothing there. Raises ``Forbidden``."""
    workspaces.require_manager(g.membership)


@manager_pages.get("")
def open_settings() -> AnyResponse:
    """Lead to the first page of the settings."""
    return redirect(url_for(SECTIONS[0][0]), code=303)


def list_sections() -> Sequence[tuple[str, str]]:
    """List those of the ``SECTIONS`` that the person here may open."""
    return SECTIONS if g.membership.role.can_manage else (_MEMBERS,)


def settings_page(template: str, *, status: int = 200, **context: Any) -> Response:
    """Render one page of the settings, with the sub-navigation that ``settings/layout.html`` draws."""
    return Response(render_template(template, sections=list_sections(), **context), status)


def secret_page(template: str, **context: Any) -> Response:
    """Render one page of the settings that shows a secret once: no cache keeps it."""
    response = settings_page(template, **context)
    response.headers["Cache-Control"] = "no-store"
    return response
