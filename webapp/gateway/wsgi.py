"""Translates between granian and the app: a request becomes a WSGI environ, what the app returns an answer."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from webapp.gateway.rsgi import HeaderList, Headers, Scope

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SPOOL_SIZE = 128 * 1024
"""Bytes of an answer that are sent from memory; a longer one is sent from a file on disk."""
_CHUNK = 64 * 1024


class FileAnswer:
    """Hands a file to the server, which sends it whole (``wsgi.file_wrapper`` of PEP 3333)."""

    def __init__(self, file: IO[bytes], block_size: int = _CHUNK) -> None:
        self.file = file
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self._block_size), b"")

    def close(self) -> None:
        if close := getattr(self.file, "close", None):
            close()

    def duplicate(self) -> int | None:
        """Return a descriptor of its own for the file; ``None`` if it is no whole file on disk."""
        try:
            if self.file.tell() == 0:
                self.file.flush()
                return os.dup(self.file.fileno())
        except (AttributeError, OSError):
            pass
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """Holds an answer of the app: its body is bytes, or the descriptor of a file that holds it."""

    status: int
    headers: HeaderList
    body: bytes | int


# --- the request -------------------------------------------------------------------------------------------------

_BASE_ENVIRON: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.errors": sys.stderr,
    "wsgi.file_wrapper": FileAnswer,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}
_PROTOCOLS = {"1": "HTTP/1.0", "1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2"}
_environ_names: dict[str, str] = {}
"""Names of headers as WSGI has them, for those that came before."""
_MAX_NAMES = 500


UNREADABLE = "\xff"
"""Stands for the value of a header that is no ASCII text."""


def _to_environ_name(header: str) -> str:
    """Return the name of a header in the environ; empty for one that another could be taken for."""
    # A proxy that replaces X-Forwarded-For hands on what its client calls X_Forwarded_For: in the environ both are one.
    if "_" in header:
        name = ""
    else:
        name = header.upper().replace("-", "_")
        name = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
    if len(_environ_names) < _MAX_NAMES:
        _environ_names[header] = name
    return name


def _split_address(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port


def build_environ(scope: Scope, headers: Headers, body: bytes) -> dict[str, Any]:
    """Return a request as WSGI has it (PEP 3333). A header that came twice is one with a comma.

    Headers with underscores in their names are left out.
    """
    path = scope.path
    environ = _BASE_ENVIRON.copy()
    environ["REQUEST_METHOD"] = scope.method
    environ["PATH_INFO"] = unquote(path, "latin-1") if "%" in path else path
    environ["QUERY_STRING"] = scope.query_string
    environ["SERVER_PROTOCOL"] = _PROTOCOLS.get(scope.http_version, "HTTP/1.1")
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _split_address(scope.server)
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = _split_address(scope.client)
    environ["wsgi.url_scheme"] = scope.scheme
    environ["wsgi.input"] = BytesIO(body)
    for header, value in headers.items():
        name = _environ_names.get(header)
        if name is None:
            name = _to_environ_name(header)
        if not name:
            continue
        if name in environ:
            value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
        environ[name] = value
    for header in headers.keys():  # noqa: SIM118 - granian's own mapping, which cannot be iterated
        # A value that is no ASCII text granian leaves out; it must not look as if nothing had been sent.
        if name := _environ_names.get(header) or _to_environ_name(header):
            environ.setdefault(name, UNREADABLE)
    return environ


# --- the answer --------------------------------------------------------------------------------------------------


def call_app(app: "WSGIApplication", environ: dict[str, Any]) -> Answer:
    """Return what the app answers, whole. What fails in the middle of an answer is raised: nothing was sent yet."""
    started: list[tuple[int, HeaderList]] = []

    def start_response(status: str, headers: HeaderList, exc_info: object = None) -> Callable[[bytes], object]:
        started[:] = [(int(status[:3]), headers)]
        return _refuse_write

    result = app(environ, start_response)
    try:
        file = result.duplicate() if isinstance(result, FileAnswer) else None
        body = _collect(result) if file is None else file
    finally:
        if close := getattr(result, "close", None):
            close()
    ((status, headers),) = started
    if isinstance(body, int):
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        headers.append(("Content-Length", str(os.fstat(body).st_size)))
    return Answer(status, headers, body)


def _collect(chunks: Iterable[bytes]) -> bytes | int:
    """Return an answer in pieces as one, or as the descriptor of a file on disk if it is long."""
    pieces: list[bytes] = []
    size = 0
    rest = iter(chunks)
    for chunk in rest:
        pieces.append(chunk)
        size += len(chunk)
        if size > SPOOL_SIZE:
            break
    else:
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    with tempfile.TemporaryFile() as file:
        file.writelines(pieces)
        file.writelines(rest)
        file.flush()
        return os.dup(file.fileno())


def _refuse_write(data: bytes) -> NoReturn:
    raise NotImplementedError("The app answers by what it returns.")
