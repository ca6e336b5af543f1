"""The door for people: pages, and the fragments that keep them fresh. Load, act, answer; no query, no commit."""

from flask import Flask

from webapp.dashboard import (
    assets,
    connect,
    display,
    headers,
    home,
    job_bulk,
    job_export,
    job_list,
    jobs,
    scope,
    settings,
    settings_limits,
    settings_retention,
    sign_in,
    webhooks,
)

__all__ = [
    "connect",
    "job_bulk",
    "job_export",
    "job_list",
    "jobs",
    "register",
    "settings",
    "settings_limits",
    "settings_retention",
    "webhooks",
]


def register(app: Flask) -> None:
    """Bind the pages and their headers to the app."""
    assets.register(app)
    display.register(app)
    headers.register(app)
    app.register_blueprint(sign_in.pages)
    app.register_blueprint(home.pages)
    app.register_blueprint(scope.workspace)
