"""The workspace of an address, said once: lifted off the address here, admitted here, put back here.

Views of this blueprint never see the slug. They find ``g.workspace`` and ``g.membership``, or are not reached.
"""

import hashlib
from typing import Any

from flask import Blueprint, g, redirect, url_for
from werkzeug.wrappers import Response as AnyResponse

import webapp
from webapp.core.accounts import accounts
from webapp.core.errors import NotFound
from webapp.core.workspaces import workspaces
from webapp.dashboard import auth, hx

workspace = Blueprint("workspace", __name__, url_prefix="/w/<slug>")


@workspace.url_value_preprocessor
def lift_slug_off(endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.slug = values.pop("slug") if values else ""


@workspace.url_defaults
def put_slug_back(endpoint: str, values: dict[str, Any]) -> None:
    if "slug" in g:
        values.setdefault("slug", g.slug)


@workspace.before_request
def admit() -> AnyResponse | None:
    if away := auth.required():
        return away
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


def etag_of(*parts: object) -> str:
    """The mark of a fragment that shows ``parts`` to this person, in this workspace and this release."""
    whole = repr((webapp.__version__, g.membership.role, g.workspace.name, *parts))
    return hashlib.sha256(whole.encode()).hexdigest()[:24]
