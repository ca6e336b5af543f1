"""Reading what a runner sent: JSON as the standard means it, and query parameters."""

import json
import math
import re
from typing import Any, NoReturn

from flask import current_app, g, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from webapp.core.errors import Fault, Invalid

MAX_NESTING = 100
"""Levels of objects and lists, the body itself being the first."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number beyond a double")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(parse_float=_finite, parse_int=_whole, parse_constant=_no_constant)


def _deepest(value: object) -> int:
    """How many levels a value has, without recursion."""
    level, values = 0, [value]
    while containers := [inner for inner in values if isinstance(inner, dict | list)]:
        level += 1
        values = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    return level


def take_in() -> None:
    """Read the body, whatever becomes of the request. Raises 413.

    What is left unread makes a server drop the connection, and with it the caller's next request. Of a body that does
    not tell its length ahead werkzeug reads up to the limit and is silent about the rest; hence one byte more.
    """
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    request.max_content_length = limit + 1
    raw = request.get_data(cache=False)
    if len(raw) > limit:
        raise RequestEntityTooLarge
    g.body = raw


def read_object() -> dict[str, Any]:
    """The JSON object in the body of the request. Raises 400, 415, and ``Invalid`` when it is no object."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send JSON, with 'Content-Type: application/json'.")
    try:
        text = g.body.decode()
        value = _decoder.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8: check its syntax, its numbers and its text.") from None
    if text.count("{") + text.count("[") > MAX_NESTING and _deepest(value) > MAX_NESTING:
        raise BadRequest(f"The body is nested deeper than {MAX_NESTING} levels.")
    if not isinstance(value, dict):
        raise Invalid([Fault((), "A JSON object.")])
    return value
