"""A clock in the hands of the test."""

from datetime import UTC, datetime, timedelta

import pytest

from webapp.core import clock as core_clock


class Clock:
    """The time as a test wants it; it stands still until told to move."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> datetime:
        """Move on by ``seconds=``, ``minutes=``, … and return the new moment."""
        self.moment += timedelta(**by)
        return self.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What ``clock.now()`` answers, in the hands of the test."""
    settable = Clock()
    monkeypatch.setattr(core_clock, "now", settable.now)
    return settable
