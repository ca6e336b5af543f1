"""Tells machines whether this process is alive, and whether it is ready to serve."""

from pathlib import Path

from flask import Blueprint, Flask, Response, current_app
from sqlalchemy.exc import SQLAlchemyError

from webapp.core.database import migrations
from webapp.core.database.migrations import SchemaState
from webapp.core.database.transactions import may_write

health = Blueprint("health", __name__)


def register(app: Flask) -> None:
    """Answer ``/healthz`` and ``/readyz``."""
    app.register_blueprint(health)


@health.get("/healthz")
def show_liveness() -> Response:
    """Answer that the process is alive, and nothing more."""
    return Response("ok\n", mimetype="text/plain")


@health.get("/readyz")
def show_readiness() -> Response:
    """Answer whether the database answers, takes writes and has the tables of this version; if not, 503 and why."""
    # Where the database is stays untold: anybody may ask.
    try:
        state = migrations.get_schema_state(Path(current_app.extensions["migrate"].directory))
        if state is SchemaState.OUTDATED:
            return _not_ready("the database is not up to date")
        if state is SchemaState.TOO_NEW:
            return _not_ready("the database is too new for this version")
        if not may_write():
            return _not_ready("the database takes no writes")
    except SQLAlchemyError:
        return _not_ready("the database does not answer")
    return Response("ready\n", mimetype="text/plain")


def _not_ready(reason: str) -> Response:
    return Response(f"{reason}\n", 503, {"Retry-After": "2"}, mimetype="text/plain")
