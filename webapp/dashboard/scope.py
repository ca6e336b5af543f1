"""Take the slug of the workspace from the address, check the membership, and add the slug to ``url_for``.

Views of this blueprint never see the slug. They find ``g.workspace`` and ``g.membership``, or are not reached.
"""

from typing import Any

from flask import Blueprint, g, redirect, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.accounts import accounts
from webapp.core.errors import NotFound
from webapp.core.workspaces import workspaces
from webapp.dashboard import auth, hx

workspace = Blueprint("workspace", __name__, url_prefix="/w/<slug>")


@workspace.url_value_preprocessor
def pull_slug(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Take the slug off the address of the request."""
    g.slug = values.pop("slug") if values else ""


@workspace.url_defaults
def add_slug(endpoint: str, values: dict[str, Any]) -> None:
    """Put the slug of the request into an address that names no other."""
    if "slug" in g:
        values.setdefault("slug", g.slug)


@workspace.before_request
def admit() -> AnyResponse | None:
    """Let in who is signed in and a member. Raises ``NotFound`` for anybody else, as where there is no workspace."""
    if response := auth.require_login():
        return response
    if not workspaces.SLUG.fullmatch(g.slug):
        raise NotFound("There is no such page.")
    g.membership = workspaces.get_membership(g.slug, g.user.id)
    g.workspace = g.membership.workspace
    if not hx.is_fragment():
        accounts.remember_workspace(g.user, g.workspace.id)
    return None


@workspace.get("")
def open_workspace() -> AnyResponse:
    return redirect(url_for(".list_jobs"), code=303)
