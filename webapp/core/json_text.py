"""Writes JSON text: as it is stored and measured, and in the one form that equal values share."""

import json
from functools import partial

compact_json = partial(json.dumps, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""Write JSON text as it is stored and measured: no spaces, letters as they are. Raises ``ValueError`` on NaN."""


def measure_json(value: object) -> int:
    """Return how many bytes a value is as it is stored, 0 for ``None``."""
    return 0 if value is None else len(compact_json(value).encode())


def canonical_json(value: object) -> str:
    """Write JSON text that two values share if JSON takes them for equal.

    The order of keys does not count, and 1.0 is the number 1; ``True`` is not.
    """
    return compact_json(_with_whole_numbers(value), sort_keys=True)


def _with_whole_numbers(value: object) -> object:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _with_whole_numbers(inner) for name, inner in value.items()}
        case list():
            return [_with_whole_numbers(inner) for inner in value]
        case _:
            return value
