"""The way of a request: its body is taken in, a thread works on it, and its answer is sent.

Every function here is called by one of granian's threads, which must come back to take the next request: none of them
waits, but for the work of the app.
"""

import asyncio
import fcntl
import json
import logging
import os
import resource
import threading
import time
import uuid
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING

from webapp.gateway.budget import Full, ThreadBudget
from webapp.gateway.rsgi import Connection, Future, Headers, Scope
from webapp.gateway.wsgi import Answer, build_environ, call_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

BODY_TIMEOUT = 20.0
"""Seconds within which a whole body must have come."""
STOP_TIMEOUT = 2.0
"""Seconds within which it must have come once the server is to stop."""
SMALL = 16 * 1024
"""Bytes up to which a body is taken in as one piece."""
MAX_HELD = 64 * 1024 * 1024
"""Bytes of larger bodies that are held while they are on their way; beyond them the oldest are given up."""
DISCARD_LIMIT = 32 * 1024 * 1024
"""Bytes of a body that is too large which are read and discarded, so that its sender reads why it is refused."""
OPEN_TIMEOUT = 10
"""Checks after which the server has opened the file that it sends; there is about one in a second."""
LIVENESS, READINESS = "/healthz", "/readyz"
PROBE_THREADS = 2
"""Threads beside those that work: one hands out requests and says that the process lives, one asks the database."""


class Request:
    """Holds a request whose body is whole, or of a body that is too large a little more than the limit."""

    __slots__ = ("body", "connection", "headers", "scope")

    def __init__(self, scope: Scope, headers: Headers, connection: Connection, body: bytes) -> None:
        self.scope = scope
        self.headers = headers
        self.connection = connection
        self.body = body


class Gateway:
    """Lets an app answer the requests that granian hands over.

    ``threads`` are those that work for the app at once; ``limit`` is the size in bytes of the largest body it takes.
    """

    def __init__(self, app: "WSGIApplication", *, threads: int, limit: int) -> None:
        self._app = app
        self.limit = limit
        self._work = ThreadBudget[Request](threads)
        self._readiness = ThreadBudget[Request](1)
        self._bodies: dict[_Body, None] = {}
        self._held_by: dict[_LargeBody, int] = {}
        self._held = 0
        self._lock = threading.Lock()
        most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._file_numbers = range(most_files // 2, most_files - 8)
        self._next_number = self._file_numbers.start
        self._sent_files: deque[tuple[int, int]] = deque()
        self._checks = 0
        self._stops_at: float | None = None

    # --- in ---------------------------------------------------------------------------------------------------------

    def receive(self, scope: Scope, connection: Connection) -> None:
        """Take a request in; answer it once it is whole."""
        headers = scope.headers
        length = headers.get("content-length")
        if length is None:
            if "transfer-encoding" in headers:
                _LargeBody(self, scope, headers, connection, None).take_in()
            else:
                self.answer(Request(scope, headers, connection, b""))
            return
        size = int(length)
        if size == 0 or (size > self.limit and headers.get("expect", "").lower() == "100-continue"):
            # What is too large is refused before anything of it is sent.
            self.answer(Request(scope, headers, connection, b""))
        elif size <= SMALL:
            _SmallBody(self, scope, headers, connection, size).take_in()
        else:
            _LargeBody(self, scope, headers, connection, size).take_in()

    def add(self, body: "_Body") -> float:
        """Watch over a body that is on its way; return when it must be whole."""
        self._bodies[body] = None
        return time.monotonic() + BODY_TIMEOUT

    def remove(self, body: "_Body") -> None:
        """Watch no longer over a body."""
        self._bodies.pop(body, None)

    def hold(self, body: "_LargeBody", size: int) -> None:
        """Note how many bytes of a body are held. The oldest bodies are given up when all together hold too much."""
        given_up = []
        with self._lock:
            self._held += size - self._held_by.get(body, 0)
            if size:
                self._held_by[body] = size
            else:
                self._held_by.pop(body, None)
            if (too_much := self._held - MAX_HELD) > 0:
                for oldest, held in self._held_by.items():
                    given_up.append(oldest)
                    too_much -= held
                    if too_much <= 0:
                        break
        for each in given_up:
            each.give_up(HTTPStatus.SERVICE_UNAVAILABLE)

    # --- work -------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> None:
        """Answer a request now, or let it wait until a thread is free."""
        path = request.scope.path
        if path == LIVENESS:
            self._answer_now(request)
            return
        budget = self._readiness if path == READINESS else self._work
        is_page = not path.startswith("/api/")
        try:
            if not budget.start(request, is_page=is_page):
                return
        except Full:
            refuse(request.connection, request.scope, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        while True:
            try:
                self._answer_now(request)
            finally:
                following = budget.finish(was_page=is_page)
            if following is None:
                return
            request, is_page = following

    def _answer_now(self, request: Request) -> None:
        try:
            answer = call_app(self._app, build_environ(request.scope, request.headers, request.body))
            self._send(request.connection, answer)
        except Exception:
            log.exception("An answer could not be made.")
            refuse(request.connection, request.scope, HTTPStatus.INTERNAL_SERVER_ERROR)

    # --- out --------------------------------------------------------------------------------------------------------

    def _send(self, connection: Connection, answer: Answer) -> None:
        if isinstance(answer.body, bytes):
            connection.response_bytes(answer.status, answer.headers, answer.body)
            return
        # granian opens a file by its path, and soon: then it reads no more of it than the reader takes. Until then no
        # other file may have the path, so a descriptor stays open for a while, and its number comes again late.
        try:
            with self._lock:
                number = fcntl.fcntl(answer.body, fcntl.F_DUPFD_CLOEXEC, self._next_number)
                self._next_number = number + 1 if number + 1 in self._file_numbers else self._file_numbers.start
        finally:
            os.close(answer.body)
        self._sent_files.append((self._checks + OPEN_TIMEOUT, number))
        connection.response_file(answer.status, answer.headers, f"/dev/fd/{number}")

    # --- time -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Give up what is overdue, and close files that were opened. Somebody calls this once a second."""
        self._checks += 1
        now = time.monotonic()
        for body in list(self._bodies):
            if now >= min(body.due, self._stops_at or body.due):
                body.give_up(HTTPStatus.REQUEST_TIMEOUT)
        for budget in (self._work, self._readiness):
            for request in budget.take_overdue():
                refuse(request.connection, request.scope, HTTPStatus.SERVICE_UNAVAILABLE)
        while self._sent_files and self._sent_files[0][0] <= self._checks:
            os.close(self._sent_files.popleft()[1])

    def stop(self) -> None:
        """Wait not much longer for bodies that are on their way."""
        self._stops_at = time.monotonic() + STOP_TIMEOUT


# --- bodies ------------------------------------------------------------------------------------------------------


class _Body:
    """Takes a body in. It is called when something of it has come."""

    __slots__ = ("_connection", "_future", "_gateway", "_headers", "_refusal", "_scope", "_size", "due")

    def __init__(
        self, gateway: Gateway, scope: Scope, headers: Headers, connection: Connection, size: int | None
    ) -> None:
        self._gateway = gateway
        self._scope = scope
        self._headers = headers
        self._connection = connection
        self._size = size
        self._refusal: HTTPStatus | None = None
        self._future: Future | None = None

    def take_in(self) -> None:
        """Begin to take the body in."""
        self.due = self._gateway.add(self)
        self._await(self._connection())

    def __call__(self, future: Future) -> None:
        raise NotImplementedError

    def _await(self, future: Future) -> None:
        # Each holds the other, and no collection frees granian's objects: whoever is called lets go of the future.
        self._future = future
        future.add_done_callback(self)
        if self._refusal:
            future.cancel()

    def give_up(self, refusal: HTTPStatus) -> None:
        """Refuse the request, of which nobody waits for the rest."""
        self._refusal = refusal
        if (future := self._future) is not None:
            future.cancel()

    def _pass_on(self, body: bytes) -> None:
        self._gateway.remove(self)
        self._gateway.answer(Request(self._scope, self._headers, self._connection, body))

    def _refuse(self, status: HTTPStatus) -> None:
        self._gateway.remove(self)
        refuse(self._connection, self._scope, status)


class _SmallBody(_Body):
    """Takes in a body of a known size as one piece."""

    __slots__ = ()

    def __call__(self, future: Future) -> None:
        self._future = None
        try:
            body = future.result()
        except asyncio.CancelledError:
            self._refuse(self._refusal or HTTPStatus.REQUEST_TIMEOUT)
        except Exception:
            # Its sender is gone.
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            self._pass_on(body)


class _LargeBody(_Body):
    """Takes in a body in pieces: it is large, or its size is not known. What is over the limit is discarded."""

    __slots__ = ("_content", "_read")

    def take_in(self) -> None:
        self._content = bytearray()
        self._read = 0
        self.due = self._gateway.add(self)
        self._connection.__aiter__()
        self._await(self._connection.__anext__())

    def __call__(self, future: Future) -> None:
        self._future = None
        try:
            piece = future.result()
            if piece and self._read <= DISCARD_LIMIT:
                self._keep(piece)
                self._await(self._connection.__anext__())
            else:
                self._end(piece)
        except asyncio.CancelledError:
            self._refuse(self._refusal or HTTPStatus.REQUEST_TIMEOUT)
        except Exception:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def _keep(self, piece: bytes) -> None:
        self._read += len(piece)
        if len(self._content) <= self._gateway.limit:
            self._content += piece
            self._gateway.hold(self, len(self._content))

    def _end(self, last: bytes) -> None:
        """Hand the body on, unless its sender broke off: one that looks whole must not be taken for it."""
        if not last and self._size is None:
            try:
                self._connection.__anext__()
            except StopAsyncIteration:
                pass
            else:
                self._refuse(HTTPStatus.BAD_REQUEST)
                return
        elif not last and self._read != self._size:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        body = bytes(self._content[: self._gateway.limit + 1])
        self._gateway.hold(self, 0)
        self._pass_on(body)

    def _refuse(self, status: HTTPStatus) -> None:
        self._gateway.hold(self, 0)
        super()._refuse(status)


# --- refusals ----------------------------------------------------------------------------------------------------

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "The body broke off."),
    HTTPStatus.REQUEST_TIMEOUT: ("request_timeout", "The body did not come in time. Send it again."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal_error", "Something went wrong here; it has been logged."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "The board is busy; try again shortly."),
}


def refuse(connection: Connection, scope: Scope, status: HTTPStatus) -> None:
    """Answer a request that the app does not see: with a problem document, or with a line to a browser."""
    code, detail = _REFUSALS[status]
    request_id = str(uuid.uuid4())
    headers = [("X-Request-Id", request_id), ("Connection", "close"), ("Cache-Control", "no-store")]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", "2"))
    if scope.path.startswith("/api/"):
        problem = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail, "code": code}
        text = json.dumps(problem | {"request_id": request_id, "errors": []})
        headers.append(("Content-Type", "application/problem+json"))
    else:
        text = f"{detail}\n"
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
    connection.response_bytes(int(status), headers, text.encode())
