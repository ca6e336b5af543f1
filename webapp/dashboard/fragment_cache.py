"""What a live fragment showed a moment ago, for everybody who watches the same: many browsers cost one look a second.

A tick of a page says ``Cache-Control: max-age=1``: it takes an answer that is a second old. Whatever asks without that,
as a page does after a command, has a look of its own, which the ticks that follow then share.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from flask import Flask, current_app, g, request

from webapp.core import clock

KEPT = 32
"""Views of which a process keeps a look; each may hold 100 KB."""
OLDEST = 5
"""Seconds beyond which no look is old enough for anybody."""


class Look:
    """How a view stood: its mark, and what it looks like, drawn when somebody first needs it."""

    def __init__(self, etag: str, draw: Callable[[], str]) -> None:
        self.etag = etag
        self._draw = draw
        self._drawing = Lock()
        self._drawn: str | None = None

    def html(self) -> str:
        with self._drawing:
            if self._drawn is None:
                self._drawn = self._draw()
        return self._drawn


@dataclass
class _Watched:
    """A view that is watched; its lock lets one look while the others wait for what it sees."""

    looking: Lock = field(default_factory=Lock)
    look: Look | None = None
    at: datetime | None = None


class Looks:
    """The looks that a process keeps."""

    def __init__(self) -> None:
        self._watched: OrderedDict[Hashable, _Watched] = OrderedDict()
        self._lock = Lock()

    def recent(self, view: Hashable, age: timedelta, look: Callable[[], Look]) -> Look:
        """A look at a view that is no older than ``age``; ours, if there is none, and always if that is negative."""
        watched = self._at(view)
        with watched.looking:
            now = clock.now()
            if watched.look is None or watched.at is None or not timedelta(0) <= now - watched.at <= age:
                watched.look, watched.at = look(), now
            return watched.look

    def _at(self, view: Hashable) -> _Watched:
        with self._lock:
            watched = self._watched.setdefault(view, _Watched())
            self._watched.move_to_end(view)
            while len(self._watched) > KEPT:
                self._watched.popitem(last=False)
        return watched


def register(app: Flask) -> None:
    app.extensions["looks"] = Looks()


def recent(view: Hashable, look: Callable[[], Look]) -> Look:
    """A look at a view of this workspace, as old as the request allows. Those who share one have the same role."""
    kept: Looks = current_app.extensions["looks"]
    seconds = min(request.cache_control.max_age or -1, OLDEST)
    same_for_all = g.workspace.id, g.workspace.name, g.membership.role, view
    return kept.recent(same_for_all, timedelta(seconds=seconds), look)
