"""Whatever a job holds, as JSON that the board takes: a report must never fail for what is in it."""

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

DEEPEST = 90
"""Levels of lists and objects that are kept; the board takes a hundred, the report itself among them."""
MOST = 100_000
"""Values that are kept of one payload or result; the board takes 256 KiB."""
MESSAGE_LIMIT = 500
ERROR_LIMIT = 60_000
"""Bytes of an error that are sent, from its end: there a traceback says what it was. The board takes 64 KiB."""
_KEY = re.compile(r"[ -~]{1,200}")


def plain(value: object) -> Any:
    """The value as JSON has it. The same value gives the same JSON in every process.

    Moments, numbers, names and paths become text; what has no JSON becomes the name of its type, ``"<Customer>"``.
    """
    return _Plain().made_of(value, 0)


class _Plain:
    """Counts values: what contains itself more than once would otherwise never come to an end."""

    def __init__(self) -> None:
        self._left = MOST

    def made_of(self, value: object, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            # Beyond a double the board, and most that read JSON, cannot tell it from its neighbours.
            return int(value) if abs(value) < 2**1023 else hex(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(value)
        if isinstance(value, Enum):
            return self.made_of(value.value, depth)
        if isinstance(value, str):
            return text(value)
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, Decimal | UUID | PurePath):
            return text(str(value))
        if depth < DEEPEST and self._left > 0:
            if isinstance(value, Mapping):
                return {text(str(name)): self.made_of(inner, depth + 1) for name, inner in value.items()}
            if isinstance(value, list | tuple):
                return [self.made_of(inner, depth + 1) for inner in value]
        return f"<{type(value).__name__}>"


def plain_object(value: object) -> dict[str, Any] | None:
    """A payload or a result: an object as it is, null for null, anything else as ``{"value": …}``."""
    sent = plain(value)
    return sent if sent is None or isinstance(sent, dict) else {"value": sent}


def text(value: object) -> str:
    """The text without what no JSON document and no database may hold: lone surrogates and NUL."""
    told = value if isinstance(value, str) else str(value)
    return told.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def message_of(value: object) -> str:
    """One short line of it."""
    return text(value)[:MESSAGE_LIMIT]


def ending(value: str, limit: int) -> str:
    """The end of a text of more bytes than that, with a mark where it was cut."""
    sent = text(value).encode()
    kept = sent[-limit:].decode("utf-8", "ignore")
    return kept if len(sent) <= limit else f"… {len(sent) - limit:,} bytes left out …\n{kept}"


def seconds(value: object) -> Any:
    """A limit in whole seconds; what is no number of them is left for the board to refuse."""
    return int(value.total_seconds()) if isinstance(value, timedelta) else plain(value)


def key_of(name: object) -> str:
    """The name as an ``Idempotency-Key``: as it is, or what stands for it where a header cannot hold it."""
    told = str(name)
    return told if _KEY.fullmatch(told) else hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
