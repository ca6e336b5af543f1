"""A server says that it listens as soon as it serves; a command that loads the same app does not."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import SECRET_KEY
from tests.support.paths import ROOT
from tests.support.servers import StartServer
from webapp import heartbeat
from webapp.core.chores import liveness
from webapp.core.database.session import db
from webapp.core.models import ServerHeartbeat


def last_beat(app: Flask) -> datetime | None:
    with app.app_context():
        return db.session.scalar(sa.select(ServerHeartbeat.beat_at))


def soon(question: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether the answer becomes yes within that time."""
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_server_that_nobody_asked_anything_yet_says_that_it_listens(app: Flask, server: StartServer) -> None:
    server()
    assert soon(lambda: last_beat(app) is not None)
    first = last_beat(app)
    assert soon(lambda: last_beat(app) != first)


def python(url: str, *arguments: str) -> None:
    environ = os.environ | {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_command_does_not_say_that_it_listens(app: Flask, url: str) -> None:
    python(url, "-m", "flask", "--app", "wsgi", "maintain", "once")
    assert last_beat(app) is None


def test_a_process_forked_off_a_loaded_app_beats_on_its_own(app: Flask, url: str) -> None:
    script = """
import os, threading, wsgi
def beats(): return any(thread.name == "heartbeat" for thread in threading.enumerate())
assert beats()
child = os.fork()
if child == 0:
    os._exit(0 if beats() else 1)
assert os.waitpid(child, 0)[1] == 0
assert beats()
"""
    python(url, "-c", script)


def test_a_beat_that_fails_is_logged_once_and_the_next_ones_go_on(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Enough(BaseException):
        """Ends the endless."""

    tried = []

    def beat(*, first: bool) -> None:
        tried.append(first)
        if len(tried) == 5:
            raise Enough
        if len(tried) != 3:
            raise RuntimeError("no such luck")

    monkeypatch.setattr(liveness, "record_server_heartbeat", beat)
    monkeypatch.setattr("webapp.heartbeat.time.sleep", lambda seconds: None)
    with pytest.raises(Enough):
        heartbeat._record_heartbeats(app)
    assert tried == [True, True, True, False, False]
    assert caplog.text.count("cannot say that it listens") == 2
