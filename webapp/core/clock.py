"""The only place that knows the time, and the column type that keeps it in UTC.

Everything asks ``clock.now()``; tests replace that one function. The clock of PostgreSQL decides for every process that
works with it, wherever it runs: ``adjust`` is told what that clock showed, and ``now`` keeps to it.
"""

import time
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

_ahead = 0.0
"""Seconds that the clock of the database is ahead of that of this machine."""


def now() -> datetime:
    """Return the current time, aware, in UTC, to the microsecond."""
    return datetime.fromtimestamp(time.time() + _ahead, UTC)


def adjust(shown: float, sent_at: float, answered_at: float) -> float:
    """Take over the time that another clock showed at some moment between asking and being answered.

    All three are seconds since 1970, the last two by ``time.time()``. What is known already stays where the answer
    allows it, so that times do not jump with the length of each answer. Returns how many seconds that clock is ahead.
    """
    global _ahead
    _ahead = min(max(_ahead, shown - answered_at), shown - sent_at)
    return _ahead


def to_iso(at: datetime, timespec: str = "microseconds") -> str:
    """Write a time in UTC as ISO 8601 text that ends in ``Z``, to the microsecond unless ``timespec`` says another."""
    return at.isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A time in UTC on every engine. SQLite forgets time zones, so they are put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time needs a time zone.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
