"""Decides which requests are worked on now and which wait: a thread is what a board has few of."""

import sys
import threading
import time
from collections import deque
from typing import Generic, TypeVar

R = TypeVar("R")

MAX_WAITING = 1000
"""Requests that may wait for a thread; beyond them they are refused."""
MAX_WAIT = 5.0
"""Seconds that a request may wait for a thread: a database that is locked holds them all for as long as that."""
QUICK_TURN = 0.0005
"""Seconds after which a thread that computes lets another go on, while reports come beside pages."""
REPORTS_COME = 1.0
"""Seconds after a report in which the next is expected."""


class Full(Exception):
    """As many requests wait for a thread as may."""


class ThreadBudget(Generic[R]):
    """Lets so many requests be worked on at once, and the others wait in their order.

    Pages are worked on by at most half of the threads: no report by a runner waits until people have signed in or a
    download has been made. Reports leave one thread in eight to pages, which can still be read while nothing can be
    written.
    """

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._free = threads
        self._most_pages = threads - threads // 2
        self._most_reports = threads - threads // 8
        self._pages_at_work = 0
        self._reports_at_work = 0
        self._reports: deque[tuple[float, R]] = deque()
        self._pages: deque[tuple[float, R]] = deque()
        self._last_report = float("-inf")
        self._usual_turn = 0.0

    def start(self, request: R, *, is_page: bool) -> bool:
        """Return whether the caller may work on a request now; if not, it waits. Raises ``Full``."""
        with self._lock:
            if self._may_start(is_page):
                self._take(is_page)
                return True
            waiting = self._pages if is_page else self._reports
            if len(waiting) >= MAX_WAITING:
                raise Full
            waiting.append((time.monotonic(), request))
            return False

    def finish(self, *, was_page: bool) -> tuple[R, bool] | None:
        """Give a thread back; return a request that waited, which the caller now works on, and whether it is a page."""
        with self._lock:
            self._free += 1
            if was_page:
                self._pages_at_work -= 1
                if self._usual_turn and not self._pages_at_work:
                    self._take_usual_turns()
            else:
                self._reports_at_work -= 1
            # By turns, so that neither kind waits for all of the other.
            for is_page in (not was_page, was_page):
                waiting = self._pages if is_page else self._reports
                if waiting and self._may_start(is_page):
                    self._take(is_page)
                    return waiting.popleft()[1], is_page
            return None

    def take_overdue(self) -> list[R]:
        """Return the requests that have waited for too long, which now wait no longer."""
        overdue: list[R] = []
        since = time.monotonic() - MAX_WAIT
        with self._lock:
            for waiting in (self._reports, self._pages):
                while waiting and waiting[0][0] <= since:
                    overdue.append(waiting.popleft()[1])
        return overdue

    def _may_start(self, is_page: bool) -> bool:
        if is_page:
            return self._free > 0 and self._pages_at_work < self._most_pages
        return self._free > 0 and self._reports_at_work < self._most_reports

    def _take(self, is_page: bool) -> None:
        self._free -= 1
        now = time.monotonic()
        if is_page:
            self._pages_at_work += 1
        else:
            self._reports_at_work += 1
            self._last_report = now
        if not self._usual_turn and self._pages_at_work and now - self._last_report < REPORTS_COME:
            self._take_quick_turns()

    # One thread computes at a time. A page does so for long, a report needs its turn again and again: after each
    # statement. Quick turns cost every request a little, and are taken only where they help.

    def _take_quick_turns(self) -> None:
        self._usual_turn = sys.getswitchinterval()
        sys.setswitchinterval(QUICK_TURN)

    def _take_usual_turns(self) -> None:
        sys.setswitchinterval(self._usual_turn)
        self._usual_turn = 0.0
