"""Makes Callboard, a live board for background jobs. ``create_app`` is the table of contents; begin reading here."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature
from jinja2 import StrictUndefined

from webapp import api, cli, client_address, dashboard, errors, health, metrics
from webapp.config import load_settings
from webapp.core.database.engine import prepare_engine
from webapp.core.database.session import db
from webapp.core.encryption import Cipher
from webapp.core.webhooks.outbound import Outbound
from webapp.extensions import csrf, htmx, migrate, sqlalchemy
from webapp.rate_limit import RateLimiter

__version__ = "0.1.0"

ROOT = Path(__file__).resolve().parent.parent


class SessionCookie(SecureCookieSessionInterface):
    """Keeps a person's session in a signed cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the cookie holds, or an empty session."""
        # Runners have no cookie, and do not pay for a search for one.
        cookie = None if request.path.startswith(api.PREFIX) else request.cookies.get(self.get_cookie_name(app))
        serializer = self.get_signing_serializer(app) if cookie else None
        if not cookie or serializer is None:
            return SecureCookieSession()
        try:
            # Whatever its age, which the signer takes from the clock of this machine: another machine may have signed
            # it "later". How long somebody is signed in, the row in the database says.
            return SecureCookieSession(serializer.loads(cookie))
        except BadSignature:
            return SecureCookieSession()


class Board(Flask):
    """Flask with the session of this board, and without what the board does not use."""

    session_interface = SessionCookie()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        # No view and no hook is async, so none has to be looked at for that.
        return func


def create_app(environ: Mapping[str, str] | None = None, instance_path: Path | None = None, **overrides: Any) -> Flask:
    """Make the application, configured from the environment. Raises ``SettingsError`` before anything starts."""
    app = Board(
        __name__,
        template_folder=ROOT / "templates",
        static_folder=ROOT / "static",
        instance_path=str(instance_path or ROOT / "instance"),
    )
    environ = os.environ if environ is None else environ
    app.config.from_mapping(load_settings(environ, Path(app.instance_path)) | {"VERSION": __version__} | overrides)
    # A doubled slash is an unknown address; the redirect that would mend it is built from the Host header.
    app.url_map.merge_slashes = False
    # A payload keeps the order of its keys.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # Letters as they are: as escapes they would be up to three times as long.
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.jinja_options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}

    client_address.register(app)
    sqlalchemy.init_app(app)
    with app.app_context():
        prepare_engine(db.engine, app.config["DATABASE"])
    migrate.init_app(app, sqlalchemy, directory=str(ROOT / "migrations"), render_as_batch=True)
    htmx.init_app(app)
    app.extensions["cipher"] = Cipher(app.config["SECRET_KEY"])
    app.extensions["outbound"] = Outbound(
        f"Callboard/{__version__}", app.config["WEBHOOK_ALLOW_PRIVATE"], app.config["WEBHOOK_DENY"]
    )
    limit = app.config["RATE_LIMIT"]
    app.extensions["rate_limiter"] = RateLimiter(limit, app.config["RATE_LIMIT_FILE"]) if limit else None

    metrics.register(app)
    health.register(app)
    dashboard.register(app)
    api.register(app)
    # After the metrics, which time what it refuses too, and after the doors, which know better why a form is foreign.
    csrf.init_app(app)
    errors.register(app)
    cli.register(app)
    return app
