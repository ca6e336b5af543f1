"""The door for runners: token to workspace, JSON in, one question to the core, JSON out.

It never reads the session cookie, so it needs no CSRF token. Every answer under ``/api/`` is JSON.
"""

from flask import Flask

from webapp.api import authentication, jobs, problems
from webapp.api.blueprint import api
from webapp.api.openapi import openapi_document
from webapp.extensions import csrf


def register(app: Flask) -> None:
    """Put the API under ``/api/v1``, and its kind of errors under all of ``/api/``."""
    app.register_blueprint(api)
    csrf.exempt(api)
    problems.register(app)


__all__ = ["authentication", "jobs", "openapi_document", "register"]
