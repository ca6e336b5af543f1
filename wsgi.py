"""What a server imports: ``granian --interface wsgi wsgi:app`` or ``gunicorn wsgi:app``."""

from webapp import create_app
from webapp.config import SettingsError
from webapp.json_log import write_json
from webapp.listening import beat_while_serving, is_command

try:
    app = create_app()
except SettingsError as error:
    raise SystemExit(f"Callboard cannot start. {error}") from None

if not is_command():
    write_json()
beat_while_serving(app)
