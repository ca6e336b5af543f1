"""Whatever a job holds, as JSON that the board takes: a report must never fail for what is in it."""

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

DEEPEST = 90
"""Levels of lists and objects that are kept; the board takes a hundred, the report itself among them."""
MESSAGE_LIMIT = 500
ERROR_LIMIT = 60_000
"""Characters of an error that are sent, from its end: there a traceback says what it was."""


def plain(value: object, depth: int = 0) -> Any:
    """The value as JSON has it. The same value gives the same JSON in every process.

    Moments, numbers, names and paths become text; what has no JSON becomes the name of its type, ``"<Customer>"``.
    """
    if value is None or isinstance(value, bool | int):
        return _whole(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Enum):
        return plain(value.value, depth)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | UUID | PurePath):
        return text(str(value))
    if depth < DEEPEST and isinstance(value, Mapping):
        return {text(str(name)): plain(inner, depth + 1) for name, inner in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple):
        return [plain(inner, depth + 1) for inner in value]
    return f"<{type(value).__name__}>"


def _whole(value: Any) -> Any:
    # Beyond a double the board, and most that read JSON, cannot tell it from its neighbours.
    return str(value) if isinstance(value, int) and abs(value) >= 2**1023 else value


def plain_object(value: object) -> dict[str, Any] | None:
    """A payload or a result: an object as it is, null for null, anything else as ``{"value": …}``."""
    sent = plain(value)
    return sent if sent is None or isinstance(sent, dict) else {"value": sent}


def text(value: str) -> str:
    """The text without what no JSON document and no database may hold: lone surrogates and NUL."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def ending(value: str, limit: int) -> str:
    """The end of a text that is too long, with a mark where it was cut."""
    sent = text(value)
    return sent if len(sent) <= limit else f"… {len(sent) - limit:,} characters left out …\n{sent[-limit:]}"
