"""Decide when the next request is to be made: in rounds, at once where it matters, and for heartbeats."""

import time

from callboard_client._outbox import Outbox, TrackedJob


class Schedule:
    """Follow the rounds of requests and the heartbeats of jobs. Moments are of the monotonic clock. Not thread-safe."""

    def __init__(self, interval: float) -> None:
        """``interval`` is in seconds, from one round to the next."""
        self.heartbeats: dict[TrackedJob, float] = {}
        """Seconds after which a job is to be reported again, by job."""
        self._interval = interval
        self._next_round = 0.0
        self._left_in_round = 0

    def due_heartbeats(self, now: float) -> list[TrackedJob]:
        """Return the jobs that were silent for longer than they may be."""
        return [job for job, interval in self.heartbeats.items() if now - job.last_report_at >= interval]

    def seconds_to_wait(self, now: float, outbox: Outbox, *, next_try: float, flushing: bool) -> float | None:
        """Return the seconds until the next request may be made; ``None`` if there is nothing to wait for."""
        if outbox:
            if now >= self._next_round and self._left_in_round <= 0:
                # What waits now is sent without a pause, in however many requests.
                self._left_in_round = len(outbox)
            at_once = self._left_in_round > 0 or outbox.has_urgent or flushing
            return max(now if at_once else self._next_round, next_try) - now
        due = [job.last_report_at + interval for job, interval in self.heartbeats.items()]
        return max(min(due) - now, 0.0) if due else None

    def end_request(self, sent: int, outbox: Outbox) -> None:
        """Note that a request ended, in which so many entries were sent."""
        # Entries may have been dropped: those that are gone need no hurry.
        self._left_in_round = min(self._left_in_round - sent, len(outbox))
        if self._left_in_round <= 0:
            self._next_round = time.monotonic() + self._interval
