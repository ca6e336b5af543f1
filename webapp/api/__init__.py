"""The door for runners: token to workspace, JSON in, one question to the core, JSON out.

It never reads the session cookie, so it needs no CSRF token. Every answer under ``/api/`` is JSON, errors included; but
for ``/api/docs``, the page that describes it to people.
"""

from flask import Flask, request

from webapp.api import authentication, batch, jobs, logs
from webapp.api.blueprint import PREFIX, api
from webapp.api.body import take_in
from webapp.api.openapi import openapi_document
from webapp.api.reference import reference
from webapp.extensions import csrf


def register(app: Flask) -> None:
    """Put the API under ``/api/v1``; of every address under ``/api/`` the body is read before anything is judged."""
    app.register_blueprint(api)
    app.register_blueprint(reference)
    app.before_request(lambda: take_in() if request.path.startswith("/api/") else None)
    csrf.exempt(api)


__all__ = ["PREFIX", "authentication", "batch", "jobs", "logs", "openapi_document", "register"]
