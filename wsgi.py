"""Offers the app to a server: ``granian --interface wsgi wsgi:app`` or ``gunicorn wsgi:app``."""

from webapp import create_app
from webapp.config import SettingsError
from webapp.heartbeat import is_command, start_heartbeat
from webapp.logging import log_as_json
from webapp.private_files import make_files_private, warn_of_open_files

# Before the app makes its folder, and a connection the database.
make_files_private()
try:
    app = create_app()
except SettingsError as error:
    raise SystemExit(f"Callboard cannot start. {error}") from None

if not is_command():
    log_as_json()
    warn_of_open_files(app)
start_heartbeat(app)
