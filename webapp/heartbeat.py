"""Records in the database that this process serves requests, so that silence counts only while the board listened."""

import logging
import os
import threading
import time

import click
from flask import Flask
from flask.cli import ScriptInfo

from webapp.core.chores import liveness
from webapp.core.database import server_clock
from webapp.core.database.session import db

log = logging.getLogger(__name__)

_heartbeat_lock = threading.Lock()
"""Held while a heartbeat is written and around a fork: a child must not inherit a half-written one with its locks."""


def is_command() -> bool:
    """Return whether a command loads the app, and no server."""
    # A server may have a command line made with click as well; only Flask's knows a ScriptInfo.
    context = click.get_current_context(silent=True)
    return context is not None and context.find_object(ScriptInfo) is not None and context.info_name != "run"


def start_heartbeat(app: Flask) -> None:
    """Record heartbeats from a thread, in this process and in every fork of it; do nothing inside a command."""
    if is_command():
        return
    os.register_at_fork(
        before=_heartbeat_lock.acquire,
        after_in_parent=_heartbeat_lock.release,
        after_in_child=lambda: _restart_after_fork(app),
    )
    _start_thread(app)


def _start_thread(app: Flask) -> None:
    threading.Thread(target=_record_heartbeats, args=(app,), name="heartbeat", daemon=True).start()


def _restart_after_fork(app: Flask) -> None:
    # Threads do not survive a fork, and a connection must not be shared with the parent.
    _heartbeat_lock.release()
    with app.app_context():
        db.engine.dispose(close=False)
    _start_thread(app)


def _record_heartbeats(app: Flask) -> None:
    first, failing = True, False
    while True:
        try:
            with _heartbeat_lock, app.app_context():
                server_clock.follow()
                liveness.record_server_heartbeat(first=first)
            first = failing = False
        except Exception:
            # While the database is away no job is judged either; the next heartbeat shows when it came back.
            if not failing:
                log.exception("The board cannot say that it listens; it goes on trying.")
            failing = True
        time.sleep(liveness.SERVER_HEARTBEAT_EVERY.total_seconds())
