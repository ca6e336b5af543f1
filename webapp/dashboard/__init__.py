"""The door for people: pages, and the fragments that keep them fresh. Load, act, answer; no query, no commit."""

from flask import Flask

from webapp.dashboard import (
    assets,
    audit_log,
    connect,
    display,
    headers,
    home,
    invitations,
    job_bulk,
    job_export,
    job_list,
    jobs,
    looks,
    members,
    overview,
    profile,
    scope,
    settings,
    settings_limits,
    settings_retention,
    sign_in,
    tokens,
    webhooks,
)

__all__ = [
    "audit_log",
    "connect",
    "invitations",
    "job_bulk",
    "job_export",
    "job_list",
    "jobs",
    "members",
    "overview",
    "register",
    "settings",
    "settings_limits",
    "settings_retention",
    "tokens",
    "webhooks",
]


def register(app: Flask) -> None:
    """Bind the pages and their headers to the app."""
    assets.register(app)
    display.register(app)
    headers.register(app)
    looks.register(app)
    app.register_blueprint(sign_in.pages)
    app.register_blueprint(home.pages)
    app.register_blueprint(profile.pages)
    app.register_blueprint(invitations.pages)
    app.register_blueprint(scope.workspace)
