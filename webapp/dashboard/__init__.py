"""The door for people: pages, and the fragments that keep them fresh. Load, act, answer; no query, no commit."""

from flask import Flask

from webapp.dashboard import (
    assets,
    auth,
    connect,
    filters,
    fragment_cache,
    headers,
    home,
    invitations,
    origin,
    overview,
    password_reset,
    profile,
    verification,
)
from webapp.dashboard.jobs import cancel_many, detail, export, listing
from webapp.dashboard.scope import workspace
from webapp.dashboard.settings import (
    audit_log,
    general,
    members,
    origins,
    retention,
    time_limits,
    tokens,
    webhooks,
)
from webapp.dashboard.settings import invitations as member_invitations

__all__ = [
    "audit_log",
    "cancel_many",
    "connect",
    "detail",
    "export",
    "general",
    "listing",
    "member_invitations",
    "members",
    "origins",
    "overview",
    "register",
    "retention",
    "time_limits",
    "tokens",
    "verification",
    "webhooks",
]


def register(app: Flask) -> None:
    """Bind the pages and their headers to the app."""
    assets.register(app)
    filters.register(app)
    headers.register(app)
    origin.register(app)
    fragment_cache.register(app)
    app.register_blueprint(auth.pages)
    app.register_blueprint(home.pages)
    app.register_blueprint(profile.pages)
    app.register_blueprint(password_reset.pages)
    app.register_blueprint(invitations.pages)
    app.register_blueprint(workspace)
