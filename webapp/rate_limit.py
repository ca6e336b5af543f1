"""Bounds how many requests a token may make, in memory that the processes of a server share.

Each token has a bucket that holds as many requests as the limit allows in its period and fills up again evenly. What is
kept of it is one moment: when it will be full (the generic cell rate algorithm). A request reads and writes that moment
in shared memory, which costs it a few microseconds and no statement. No lock is held over the processes, so that of two
requests at the same moment in two of them one may go uncounted.
"""

import math
import mmap
import re
import struct
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from flask import Response, after_this_request, current_app

from webapp.core import clock
from webapp.core.errors import TooManyRequests

PERIODS = {"s": 1, "min": 60, "h": 3600}
"""Seconds of what a limit may be for."""
HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
"""Of every answer where there is a limit: requests in its period, those that may follow at once, and seconds until the
bucket is full."""

_KEY_BITS = (1 << 62) - 1
"""Those of a version 7 UUID that are random."""
_ROUNDING = 1e-6
_SLOTS = 1 << 16
_PROBES = 8
_SLOT = struct.Struct("=Qd")
"""A token, and the moment at which its bucket is full, in seconds since 1970."""


@dataclass(frozen=True)
class RateLimit:
    """So many requests in so many seconds."""

    requests: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> "RateLimit | None":
        """Read a limit like ``50/s``, ``600/min`` or ``10000/h``; ``off`` is none. Raises ``ValueError``."""
        if text == "off":
            return None
        match = re.fullmatch(r"([1-9][0-9]{0,8})/(s|min|h)", text)
        if match is None:
            raise ValueError(text)
        return cls(int(match[1]), PERIODS[match[2]])


@dataclass(frozen=True)
class Allowance:
    """Whether a request may be made, how many may follow at once, and seconds until the next may and until all may."""

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float


class RateLimiter:
    """Counts the requests of each token against a limit."""

    def __init__(self, limit: RateLimit, path: Path | None = None) -> None:
        self.limit = limit
        self._interval = limit.seconds / limit.requests
        self._memory = _map_memory(path)
        self._lock = threading.Lock()

    def take(self, token_id: uuid.UUID) -> Allowance:
        """Count a request of a token, if it may be made now."""
        now, key = clock.now().timestamp(), token_id.int & _KEY_BITS
        with self._lock:
            offset, full_at = self._find_slot(key, now)
            if full_at > now + self.limit.seconds + _ROUNDING:
                # No bucket takes longer than the period to fill, unless the clock was set back: it begins anew.
                full_at = now
            after = max(full_at, now) + self._interval
            # A hair more than the period, because fractions of a second are rounded.
            allowed = after - now <= self.limit.seconds + _ROUNDING
            if allowed:
                full_at = after
                _SLOT.pack_into(self._memory, offset, key, full_at)
        filling = max(full_at - now, 0.0)
        remaining = int((self.limit.seconds - filling) / self._interval + _ROUNDING)
        return Allowance(allowed, remaining, max(after - now - self.limit.seconds, 0.0), filling)

    def _find_slot(self, key: int, now: float) -> tuple[int, float]:
        """Return where a token is kept, and when its bucket is full.

        A new one takes a slot whose bucket is full already; if there is none where it may stand, it shares one.
        """
        free = None
        for probe in range(_PROBES):
            offset = (key + probe) % _SLOTS * _SLOT.size
            slot_key, full_at = _SLOT.unpack_from(self._memory, offset)
            if slot_key == key:
                return offset, full_at
            if free is None and full_at <= now:
                free = offset
        return (offset, full_at) if free is None else (free, now)


def _map_memory(path: Path | None) -> mmap.mmap:
    size = _SLOTS * _SLOT.size
    if path is None:
        return mmap.mmap(-1, size)
    with path.open("a+b") as file:
        file.truncate(size)
        return mmap.mmap(file.fileno(), size)


def limit_rate(token_id: uuid.UUID) -> None:
    """Count a request of a token, and say in the headers of its answer how many may follow.

    Raises ``TooManyRequests``.
    """
    limiter: RateLimiter | None = current_app.extensions["rate_limiter"]
    if limiter is None:
        return
    allowance = limiter.take(token_id)

    @after_this_request
    def set_headers(response: Response) -> Response:
        values = limiter.limit.requests, allowance.remaining, math.ceil(allowance.reset_after)
        response.headers.update(zip(HEADERS, map(str, values), strict=True))
        return response

    if not allowance.allowed:
        name = {seconds: name for name, seconds in PERIODS.items()}[limiter.limit.seconds]
        raise TooManyRequests(
            f"A token may make {limiter.limit.requests}/{name} requests on this board.",
            max(1, math.ceil(allowance.retry_after)),
        )
