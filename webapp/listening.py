"""Lets the core know that this process serves requests, so that silence is not blamed on runners nobody listened to."""

import logging
import threading
import time

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from webapp.core import liveness
from webapp.extensions import db

log = logging.getLogger(__name__)


def beat_while_serving(app: Flask) -> None:
    """Begin to beat at the first request: a command imports the app without serving, and a server may fork after it."""
    begun = threading.Lock()

    @app.before_request
    def begin() -> None:
        if begun.acquire(blocking=False):
            threading.Thread(target=_beat_forever, args=(app,), name="beat", daemon=True).start()


def _beat_forever(app: Flask) -> None:
    while True:
        with app.app_context():
            try:
                liveness.beat()
            except SQLAlchemyError:
                # While the database is away nobody is judged either; the next beat tells when it came back.
                log.warning("The board could not say that it listens.")
                db.session.rollback()
        time.sleep(liveness.BEAT_EVERY.total_seconds())
