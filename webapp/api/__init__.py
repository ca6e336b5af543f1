"""Opens the door for runners: token to workspace, JSON in, one call of the core, JSON out.

It never reads the session cookie, so it needs no CSRF token. Every answer under ``/api/`` is JSON, errors included; but
for ``/api/docs``, the page that describes it to people.
"""

from flask import Flask, request

from webapp.api import authentication, batch, jobs, logs
from webapp.api.blueprint import PREFIX, api
from webapp.api.body import buffer_body
from webapp.api.cross_origin import answer_preflight
from webapp.api.openapi import show_document
from webapp.api.reference import reference
from webapp.extensions import csrf


def register(app: Flask) -> None:
    """Add the API to the app, and buffer the body of every request under ``/api/`` before anything else."""
    app.register_blueprint(api)
    app.register_blueprint(reference)
    app.before_request(lambda: buffer_body() if request.path.startswith("/api/") else None)
    app.before_request(answer_preflight)
    csrf.exempt(api)


__all__ = ["PREFIX", "authentication", "batch", "jobs", "logs", "register", "show_document"]
