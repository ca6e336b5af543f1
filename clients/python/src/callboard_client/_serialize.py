"""Turn whatever a job holds into JSON that the board takes: a report must never fail because of what is in it."""

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

MAX_DEPTH = 90
"""Levels of lists and objects that are kept; the board takes a hundred, the report itself among them."""
MAX_VALUES = 100_000
"""Values that are kept of one payload or result; the board takes 256 KiB."""
MAX_MESSAGE_LENGTH = 500
"""Characters of a message."""
MAX_ERROR_BYTES = 60_000
"""Bytes of an error that are sent, from its end, where a traceback says what it was. The board takes 64 KiB."""
LOG_LEVELS = ("debug", "info", "warning", "error")
_LEVEL_ALIASES = {"warn": "warning", "critical": "error", "fatal": "error", "exception": "error", "trace": "debug"}
_HEADER_SAFE = re.compile(r"[ -~]{1,200}")


class _Serializer:
    """Convert values and count them: what contains itself more than once would otherwise never come to an end."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def convert(self, value: object, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            # Beyond a double the board, and most that read JSON, cannot tell it from its neighbours.
            return int(value) if abs(value) < 2**1023 else hex(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(value)
        if isinstance(value, Enum):
            return self.convert(value.value, depth)
        if isinstance(value, str):
            return clean_text(value)
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, Decimal | UUID | PurePath):
            return clean_text(str(value))
        if depth < MAX_DEPTH and self._left > 0:
            if isinstance(value, Mapping):
                return {clean_text(str(name)): self.convert(inner, depth + 1) for name, inner in value.items()}
            if isinstance(value, list | tuple):
                return [self.convert(inner, depth + 1) for inner in value]
        return f"<{type(value).__name__}>"


def serialize(value: object) -> Any:
    """Return the value as JSON. The same value gives the same JSON in every process.

    Times, numbers, enums and paths become text; what has no JSON becomes the name of its type, ``"<Customer>"``.
    """
    return _Serializer().convert(value, 0)


def serialize_object(value: object) -> dict[str, Any] | None:
    """Return a payload or a result as JSON: an object as it is, ``None`` for ``None``, else ``{"value": …}``."""
    serialized = serialize(value)
    return serialized if serialized is None or isinstance(serialized, dict) else {"value": serialized}


def clean_text(value: object) -> str:
    """Return the text without what no JSON document and no database may hold: lone surrogates and NUL."""
    text = value if isinstance(value, str) else str(value)
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def clean_message(value: object) -> str:
    """Return the text as a message, cut to its length."""
    return clean_text(value)[:MAX_MESSAGE_LENGTH]


def clean_error(value: str) -> str:
    """Return the text as an error: the end of one that is too long, with a mark where it was cut."""
    encoded = clean_text(value).encode()
    kept = encoded[-MAX_ERROR_BYTES:].decode("utf-8", "ignore")
    excess = len(encoded) - MAX_ERROR_BYTES
    return kept if excess <= 0 else f"… {excess:,} bytes left out …\n{kept}"


def log_level(name: object) -> str:
    """Return the board's name for the level of a log line; ``info`` for one that it does not know."""
    level = name.lower() if isinstance(name, str) else "info"
    level = _LEVEL_ALIASES.get(level, level)
    return level if level in LOG_LEVELS else "info"


def seconds(value: object) -> Any:
    """Return a duration in whole seconds. What is neither a number nor a duration is left for the board to refuse."""
    return int(value.total_seconds()) if isinstance(value, timedelta) else serialize(value)


def idempotency_key(name: object) -> str:
    """Return the name as an ``Idempotency-Key``: as it is, or its hash where a header cannot hold it."""
    key = str(name)
    return key if _HEADER_SAFE.fullmatch(key) else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
