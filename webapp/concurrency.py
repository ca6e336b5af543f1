"""Bounds how many requests of one dear kind a process works on at once, so that threads are left for all others."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from webapp.core.errors import TooManyRequests


class ConcurrencyLimit:
    """Let ``total`` requests of a kind be worked on at once, one of each caller.

    Whoever comes in between waits up to ``patience`` seconds, but never while another of the same caller waits already,
    nor while ``total`` others do. ``refusal`` is the sentence for whoever is sent away.
    """

    def __init__(self, total: int, refusal: str, *, patience: float = 0, retry_after: int = 5) -> None:
        self._total = total
        self._refusal = refusal
        self._patience = patience
        self._retry_after = retry_after
        self._working: set[Hashable] = set()
        self._waiting: set[Hashable] = set()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, caller: Hashable) -> Iterator[None]:
        """Hold a place to the end of the block. Raises ``TooManyRequests``."""
        with self._changed:
            if not self._is_free(caller) and not self._wait(caller):
                raise TooManyRequests(self._refusal, self._retry_after)
            self._working.add(caller)
        try:
            yield
        finally:
            with self._changed:
                self._working.remove(caller)
                self._changed.notify_all()

    def _is_free(self, caller: Hashable) -> bool:
        return caller not in self._working and len(self._working) < self._total

    def _wait(self, caller: Hashable) -> bool:
        """Wait until a place is free; return whether one is."""
        if caller in self._waiting or len(self._waiting) >= self._total:
            return False
        self._waiting.add(caller)
        try:
            return self._changed.wait_for(lambda: self._is_free(caller), self._patience)
        finally:
            self._waiting.remove(caller)
