"""Makes the extensions, which ``create_app`` binds to the app."""

from typing import cast

from flask import current_app
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from htmx_flask import Htmx

from webapp.core.database.session import db
from webapp.core.encryption import Cipher, current_cipher
from webapp.core.models import Base
from webapp.core.webhooks.outbound import Outbound

# Objects stay loaded after a commit: a verb commits once, at its end, and hands its result to a door.
sqlalchemy = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})
db.bind(sqlalchemy.session, lambda: sqlalchemy.engine)
current_cipher.bind(lambda: cast(Cipher, current_app.extensions["cipher"]))
migrate = Migrate()
csrf = CSRFProtect()
htmx = Htmx()


def outbound() -> Outbound:
    """Return the sender of HTTP requests that this app was configured with."""
    return cast(Outbound, current_app.extensions["outbound"])
