"""Reading what a runner sent: JSON as the standard means it, in the shape that the call asks for."""

import json
import math
import re
import time
from collections.abc import Sequence
from typing import IO, Any, NoReturn, TypeVar

from flask import current_app, g, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.wsgi import get_input_stream

from webapp.api.schemas import NO_PARAMETER
from webapp.core.errors import Fault, Invalid
from webapp.core.jobs.idempotency import RequestKey, find_key_faults
from webapp.core.jobs.inputs import Body

B = TypeVar("B", bound=Body)

MAX_NESTING = 100
"""Levels of objects and lists, the body itself being the first."""
THROWN_AWAY = 32 * 1024 * 1024
"""Bytes that are read of a body that is too large; whoever sends more hears that the connection breaks."""
PATIENCE = 10.0
"""Seconds that this may take."""

_PIECE = 64 * 1024
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

    What is left unread makes a server drop the connection, and with it the caller's next request, and the answer too:
    most callers listen only once they have sent everything.
    """
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    body = get_input_stream(request.environ)
    # A body in chunks does not tell its length ahead.
    told = request.content_length or 0
    raw = _read(body, limit + 1) if told <= limit else b""
    if max(told, len(raw)) > limit:
        # Whoever waits for "100 Continue" hears us before anything is sent.
        if request.headers.get("Expect", "").lower() != "100-continue":
            _throw_away(body)
        raise RequestEntityTooLarge
    g.body = raw


def _read(body: IO[bytes], size: int) -> bytes:
    """So many bytes, or all that there are."""
    read = bytearray()
    while len(read) < size and (piece := body.read(size - len(read))):
        read += piece
    return bytes(read)


def _throw_away(body: IO[bytes]) -> None:
    left, deadline = THROWN_AWAY, time.monotonic() + PATIENCE
    while left > 0 and time.monotonic() < deadline and (piece := body.read(_PIECE)):
        left -= len(piece)


def read_body(shape: type[B]) -> B:
    """The body of the request. Raises 400, 415, and ``Invalid`` with every fault of the body and of the query."""
    return _checked(shape, ())[0]


def read_body_once(shape: type[B]) -> tuple[B, RequestKey | None]:
    """The body, and the name under which it is to be done only once, if it has one. Raises as ``read_body`` does.

    The faults of an ``Idempotency-Key`` are among those that are told.
    """
    key = request.headers.get("Idempotency-Key")
    body, sent = _checked(shape, find_key_faults(key))
    # When a request is sent again, when it was meant to arrive may only then be told.
    asked = {name: value for name, value in sent.items() if name != "occurred_at"}
    return body, None if key is None else RequestKey.from_body(key, asked)


def _checked(shape: type[B], more: Sequence[Fault]) -> tuple[B, dict[str, Any]]:
    """The body in its shape, and as it was sent. Raises ``Invalid`` with its faults, those of the query, and more."""
    more = [*more, *(Fault((f"?{name}",), NO_PARAMETER) for name in request.args)]
    try:
        sent = _json_object()
        body = shape.parse(sent)
    except Invalid as invalid:
        raise Invalid([*invalid.faults, *more]) from None
    if more:
        raise Invalid(more)
    return body, sent


def _json_object() -> dict[str, Any]:
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
