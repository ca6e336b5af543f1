"""Keep live fragments for a moment, for everybody who watches the same: many browsers cost one rendering a second.

A tick of a page says ``Cache-Control: max-age=1``: it takes a fragment that is a second old. Whatever asks without
that, as a page does after a command, loads the fragment anew, which the ticks that follow then share.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from flask import Flask, current_app, g, request

import webapp
from webapp.core import clock

CAPACITY = 32
"""Fragments that a process keeps; each may hold 100 KB."""
MAX_AGE = 5
"""Seconds beyond which no fragment is young enough for anybody."""


def compute_etag(*parts: object) -> str:
    """Return the ETag of a fragment that shows ``parts`` to this person, in this workspace and this release."""
    whole = repr((webapp.__version__, g.membership.role, g.workspace.name, *parts))
    return hashlib.sha256(whole.encode()).hexdigest()[:24]


class CachedFragment:
    """A fragment by its ETag; its HTML is rendered once, when somebody first needs it."""

    def __init__(self, etag: str, render: Callable[[], str]) -> None:
        self.etag = etag
        self._render = render
        self._lock = Lock()
        self._html: str | None = None

    def html(self) -> str:
        with self._lock:
            if self._html is None:
                self._html = self._render()
        return self._html


@dataclass
class _Entry:
    """The place of one fragment; its lock lets one request load it while the others wait for the same."""

    lock: Lock = field(default_factory=Lock)
    fragment: CachedFragment | None = None
    loaded_at: datetime | None = None


class FragmentCache:
    """The fragments that a process keeps, least recently used first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = Lock()

    def get_or_load(self, key: Hashable, max_age: timedelta, load: Callable[[], CachedFragment]) -> CachedFragment:
        """Return the fragment of ``key``, loaded anew if it is older than ``max_age``; always, if that is negative."""
        entry = self._entry(key)
        with entry.lock:
            now = clock.now()
            if (
                entry.fragment is None
                or entry.loaded_at is None
                or not timedelta(0) <= now - entry.loaded_at <= max_age
            ):
                entry.fragment, entry.loaded_at = load(), now
            return entry.fragment

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > CAPACITY:
                self._entries.popitem(last=False)
        return entry


def register(app: Flask) -> None:
    """Give the app its own cache."""
    app.extensions["fragment_cache"] = FragmentCache()


def get_or_render(key: Hashable, load: Callable[[], CachedFragment]) -> CachedFragment:
    """Return a fragment of this workspace, as old as the request allows. Those who share one have the same role."""
    cache: FragmentCache = current_app.extensions["fragment_cache"]
    seconds = min(request.cache_control.max_age or -1, MAX_AGE)
    shared_key = g.workspace.id, g.workspace.name, g.membership.role, key
    return cache.get_or_load(shared_key, timedelta(seconds=seconds), load)
