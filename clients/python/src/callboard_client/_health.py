"""Know whether the board is away, and when to try again."""

import random
import time

from callboard_client.errors import BoardUnreachable, CallboardError, Unauthorized

AWAY_AFTER = 1.5
"""Seconds of failures after which the board counts as away, and nobody waits for it any more."""
ANSWER_TIMEOUT = 5.0
"""Seconds without an answer after which nobody waits for it any more, though it may still come."""
BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds from one failure to the next try."""
UNAUTHORIZED_BACKOFF = 60.0
"""Seconds to the next try after the token was refused."""


class Health:
    """Follow the requests to a board. Moments are of the monotonic clock. Not thread-safe."""

    def __init__(self) -> None:
        self._failures = 0
        self._failing_since: float | None = None
        self._request_since: float | None = None
        self._unauthorized = False
        self.next_try = 0.0
        """When the next request may be made."""
        self.last_error: CallboardError | None = None
        """The error of the last request that failed."""

    @property
    def is_away(self) -> bool:
        """Whether the board has been away for so long that nobody waits for it."""
        now = time.monotonic()
        if self._request_since is not None and now - self._request_since >= ANSWER_TIMEOUT:
            return True
        return self._unauthorized or (self._failing_since is not None and now - self._failing_since >= AWAY_AFTER)

    @property
    def is_failing(self) -> bool:
        """Whether the last requests failed, and not because of what was in them."""
        return self._failing_since is not None

    def start_request(self) -> None:
        """Note that a request is under way."""
        self._request_since = time.monotonic()

    def end_request(self) -> None:
        """Note that no request is under way."""
        self._request_since = None

    def reset(self) -> None:
        """Forget the failures: the board answered, or nothing waits for it any more."""
        self._failures, self._failing_since, self._unauthorized, self.next_try = 0, None, False, 0.0

    def record_failure(self, error: BoardUnreachable | Unauthorized) -> bool:
        """Note that the request failed, and when to try again; return whether the board begins to fail with this."""
        self.last_error = error
        # An internal error may come of the report, and does not say that the board is away.
        begins = self._failing_since is None and getattr(error, "status", None) != 500
        if begins:
            self._failing_since = self._request_since or time.monotonic()
        self._unauthorized = isinstance(error, Unauthorized)
        self.next_try = time.monotonic() + self._pause(error)
        self._failures += 1
        self.end_request()
        return begins

    def reset_backoff(self) -> None:
        """Begin with the shortest pause again, for what failed is given up."""
        self._failures = 0

    def _pause(self, error: BoardUnreachable | Unauthorized) -> float:
        if isinstance(error, Unauthorized):
            return UNAUTHORIZED_BACKOFF
        pause = BACKOFF[min(self._failures, len(BACKOFF) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311
        return pause if error.retry_after is None else max(pause, min(error.retry_after, BACKOFF[-1]))
