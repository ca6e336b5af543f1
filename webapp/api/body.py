"""Reads what a runner sent: JSON by the letter of its standard, validated by the schema of the call."""

import json
import math
import re
import time
import zlib
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
DISCARD_LIMIT = 32 * 1024 * 1024
"""Bytes of a body that is too large which are read and discarded; whoever sends more finds the connection closed."""
BODY_TIMEOUT = 10.0
"""Seconds that discarding them may take."""

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number beyond a double")
    return number


def _parse_int(text: str) -> int:
    # An integer beyond a double is refused too.
    _parse_float(text)
    return int(text)


class _RepeatedKey(ValueError):
    """A key stands twice in one object: which of its values was meant, nobody knows."""


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _RepeatedKey
    return value


def _reject_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_to_object, parse_float=_parse_float, parse_int=_parse_int, parse_constant=_reject_constant
)


def _count_levels(value: object) -> int:
    """Return how many levels of objects and lists a value has, without recursion."""
    level, values = 0, [value]
    while containers := [inner for inner in values if isinstance(inner, dict | list)]:
        level += 1
        values = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    return level


def _read_up_to(size: int, stream: IO[bytes]) -> bytes:
    content = bytearray()
    while len(content) < size and (chunk := stream.read(size - len(content))):
        content += chunk
    return bytes(content)


def _discard(stream: IO[bytes]) -> None:
    remaining, deadline = DISCARD_LIMIT, time.monotonic() + BODY_TIMEOUT
    while remaining > 0 and time.monotonic() < deadline and (chunk := stream.read(_CHUNK)):
        remaining -= len(chunk)


def buffer_body() -> None:
    """Read the whole body into ``g.body``. Raises 413."""
    # An unread rest makes a server drop the connection, and with it the caller's next request, and the answer too: most
    # callers listen only once they have sent everything.
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    stream = get_input_stream(request.environ)
    # A body in chunks does not say its length ahead.
    length = request.content_length or 0
    body = _read_up_to(limit + 1, stream) if length <= limit else b""
    if max(length, len(body)) > limit:
        # Whoever waits for "100 Continue" gets the answer before anything is sent.
        if request.headers.get("Expect", "").lower() != "100-continue":
            _discard(stream)
        raise RequestEntityTooLarge
    g.body = body


def _decode() -> bytes:
    """Return the body as it was before its sender compressed it. Raises 400, 413 and 415."""
    body: bytes = g.body
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise UnsupportedMediaType("Send the body as it is, or with 'Content-Encoding: gzip'.")
    inflater = zlib.decompressobj(wbits=_GZIP)
    try:
        decoded = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise BadRequest("The body is not gzip, as its Content-Encoding says.") from None
    if len(decoded) > limit:
        raise RequestEntityTooLarge
    if not inflater.eof or inflater.unused_data:
        raise BadRequest("The body is not one whole gzip file, as its Content-Encoding says.")
    return decoded


def _parse_object() -> dict[str, Any]:
    """Return the JSON object in the body. Raises 400, 415, and ``Invalid`` when it is no object."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send JSON, with 'Content-Type: application/json'.")
    content = _decode()
    try:
        text = content.decode()
        value = _decoder.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except _RepeatedKey:
        raise BadRequest("A key stands twice in an object of the body: send each once.") from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8: check its syntax, its numbers and its text.") from None
    if text.count("{") + text.count("[") > MAX_NESTING and _count_levels(value) > MAX_NESTING:
        raise BadRequest(f"The body is nested deeper than {MAX_NESTING} levels.")
    if not isinstance(value, dict):
        raise Invalid([Fault((), "A JSON object.")])
    return value


def _validate(schema: type[B], more_faults: Sequence[Fault]) -> tuple[B, dict[str, Any]]:
    """Return the body as its schema has it, and as it was sent.

    Raises ``Invalid`` with the faults of the body, those of the query, and those that were found before.
    """
    more_faults = [*more_faults, *(Fault((f"?{name}",), NO_PARAMETER) for name in request.args)]
    try:
        sent = _parse_object()
        body = schema.parse(sent)
    except Invalid as invalid:
        raise Invalid([*invalid.faults, *more_faults]) from None
    if more_faults:
        raise Invalid(more_faults)
    return body, sent


def read_body(schema: type[B]) -> B:
    """Return the body of the request. Raises 400, 415, and ``Invalid`` with every fault of the body and the query."""
    return _validate(schema, ())[0]


def read_body_and_key(schema: type[B]) -> tuple[B, RequestKey | None]:
    """Return the body, and the key under which the request is done only once, if it has one.

    Raises as ``read_body`` does; the faults of an ``Idempotency-Key`` are among those of ``Invalid``.
    """
    key = request.headers.get("Idempotency-Key")
    body, sent = _validate(schema, find_key_faults(key))
    # A request that is sent again may only then say when it was meant to arrive.
    content = {name: value for name, value in sent.items() if name != "occurred_at"}
    return body, None if key is None else RequestKey.from_body(key, content)
