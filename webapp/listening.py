"""Lets the core know that this process serves requests, so that silence is not blamed on runners nobody listened to."""

import logging
import os
import threading
import time

import click
from flask import Flask
from flask.cli import ScriptInfo

from webapp.core.chores import liveness
from webapp.core.database.session import db

log = logging.getLogger(__name__)

_beating = threading.Lock()
"""Held during a beat and around a fork: a child must not inherit half a beat and its locks."""


def beat_while_serving(app: Flask) -> None:
    """Begin to beat, from the moment a server has loaded the app; a command that loads it does not serve."""
    if is_command():
        return
    os.register_at_fork(
        before=_beating.acquire,
        after_in_parent=_beating.release,
        after_in_child=lambda: _begin_again(app),
    )
    _begin(app)


def is_command() -> bool:
    """Whether a command loads the app, and no server."""
    # A server may have a command line made with click as well; only Flask's knows a ScriptInfo.
    context = click.get_current_context(silent=True)
    return context is not None and context.find_object(ScriptInfo) is not None and context.info_name != "run"


def _begin(app: Flask) -> None:
    threading.Thread(target=_beat_forever, args=(app,), name="beat", daemon=True).start()


def _begin_again(app: Flask) -> None:
    """Threads do not survive a fork, and a connection must not be shared with the parent."""
    _beating.release()
    with app.app_context():
        db.engine.dispose(close=False)
    _begin(app)


def _beat_forever(app: Flask) -> None:
    first, failing = True, False
    while True:
        try:
            with _beating, app.app_context():
                liveness.record_server_heartbeat(first=first)
            first = failing = False
        except Exception:
            # While the database is away nobody is judged either; the next beat tells when it came back.
            if not failing:
                log.exception("The board cannot say that it listens; it goes on trying.")
            failing = True
        time.sleep(liveness.SERVER_HEARTBEAT_EVERY.total_seconds())
