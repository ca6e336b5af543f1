"""Moments in UTC, and their text in the API."""

from datetime import datetime, timezone


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(timezone.utc)


def format_time(moment: datetime) -> str:
    """Write a moment as the API has it: ISO 8601 in UTC, with microseconds and a ``Z``."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read a moment as the API writes it. Raises ``ValueError``."""
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
