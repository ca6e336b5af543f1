"""Makes the files that people and runners take home: each is written whole before its first byte is sent.

A file that breaks off must never look as if it were whole, and neither memory nor the database may wait for a reader.
So the lines go into a temporary file without a name first, or into memory where they are few. What fails on the way is
an ordinary error; what is sent has its length in front, by which the reader knows that nothing is missing.
"""

from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from typing import IO

from flask import Response, request
from werkzeug.wsgi import wrap_file

from webapp.core.errors import Fault, Invalid

MAX_SIZE = 1024**3
"""Bytes that a file may have."""
SIZE_IN_MEMORY = 256 * 1024
"""Bytes up to which no file is needed."""
_BUFFER_SIZE = 128 * 1024


def attachment(lines: Iterable[str], *, name: str, mimetype: str) -> Response:
    """Return the answer that is saved as a file of these lines. Raises ``Invalid`` when they are over ``MAX_SIZE``."""
    file = SpooledTemporaryFile(SIZE_IN_MEMORY, buffering=_BUFFER_SIZE)  # noqa: SIM115 - the answer may close it
    try:
        size = _write(lines, file)
        file.seek(0)
        response = _small_response(file) if size <= SIZE_IN_MEMORY else _file_response(file, size)
    except BaseException:
        file.close()
        raise
    response.mimetype = mimetype
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _write(lines: Iterable[str], file: IO[bytes]) -> int:
    """Write lines as UTF-8, and return how many bytes they are."""
    size = 0
    for line in lines:
        size += file.write(line.encode())
        if size > MAX_SIZE:
            raise Invalid([Fault((), "This is more than 1 GiB. Filter by time or by type, and take it home in parts.")])
    return size


def _small_response(file: IO[bytes]) -> Response:
    with file:
        return Response(file.read())


def _file_response(file: IO[bytes], size: int) -> Response:
    """Return a file as PEP 3333 wants it, for a server that can send one without a thread; the server closes it."""
    response = Response(wrap_file(request.environ, file, _BUFFER_SIZE), direct_passthrough=True)
    response.content_length = size
    return response
