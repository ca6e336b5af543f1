"""The only place that knows the time, and the column type that keeps it in UTC.

Everything asks ``clock.now()``; tests replace that one function.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect


def now() -> datetime:
    """Return the current time, aware, in UTC, to the microsecond."""
    return datetime.now(UTC)


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
