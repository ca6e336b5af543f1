"""Make one HTTP request to a board, and turn its answer into a value or an error."""

import functools
import json
import os
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from callboard_client.errors import (
    BoardRefused,
    BoardUnreachable,
    JobCanceled,
    JobConflict,
    JobNotFound,
    JobTimedOut,
    Unauthorized,
)
from callboard_client.record import JobRecord

USER_AGENT = "callboard-client-python/0.1.0"
STOPS = {"job_canceled": JobCanceled, "job_timed_out": JobTimedOut}
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may succeed later."""
DAILY_LIMIT = "daily_limit"
"""The code of a 429 which says that the workspace has sent what it may send today: to wait for the next day with one
report would hold back all others."""
CONNECT_TIMEOUT = 3.0
"""Seconds for a connection, if the whole request has as many."""


class Transport(Protocol):
    """Take the requests of a client."""

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request, with ``key`` as its ``Idempotency-Key``, and return the JSON of the answer.

        Raises ``BoardUnreachable`` if it may succeed later, and else ``BoardRefused``.
        """

    def reopen(self) -> None:
        """Use connections of its own, in the child of a fork."""

    def close(self) -> None:
        """Close the connections."""


class HttpTransport:
    """Send requests to the board at ``url``. Thread-safe. ``timeout`` is in seconds, for a whole request."""

    def __init__(self, url: str, token: str, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._http: httpx.Client | None = None
        # Here, and not with the first request: a child that is forked while another thread is in the middle of this has
        # locks of OpenSSL and of imports that nobody releases. What is wrong with it, the first request raises.
        with suppress(Exception):
            self._http = self._connect()

    def reopen(self) -> None:
        """Use connections of its own, in the child of a fork."""
        self._http = None

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request and return the JSON of the answer. Raises as ``Transport.request`` does."""
        headers = {"Idempotency-Key": key} if key else {}
        content = None
        if body is not None:
            content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        try:
            response = self._send(method, path, content=content, headers=headers, params=query)
        except Exception as error:
            # Whatever it is, a proxy's setting or a certificate among it, it is nothing that is wrong with the job.
            raise BoardUnreachable(f"The board cannot be reached: {error or type(error).__name__}") from error
        if response.is_success:
            try:
                return json.loads(response.content)
            except (ValueError, RecursionError):
                raise BoardUnreachable(f"The answer of {response.url.host} is not from a board.") from None
        raise _error_of_response(response)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        if self._http is None:
            self._http = self._connect()
        # The timeouts of httpx are for each piece of an answer, and a board that is out of order may send many.
        deadline = time.monotonic() + self._timeout
        with self._http.stream(method, path, **options) as response:
            pieces = []
            for piece in response.iter_bytes():
                pieces.append(piece)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"The answer took longer than {self._timeout:g} s.")
        names = ("Retry-After", "Location")
        headers = {name: response.headers[name] for name in names if name in response.headers}
        # Without the header for its encoding: the content is decoded already.
        return httpx.Response(response.status_code, headers=headers, content=b"".join(pieces), request=response.request)

    def _connect(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self._url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {self._token}", "User-Agent": USER_AGENT, "Accept": "application/json"},
            timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, CONNECT_TIMEOUT)),
            verify=_ssl_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        )

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()


@functools.cache
def _ssl_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Load the certificates that the environment names, once for all clients and forks, because it takes 25 ms."""
    return httpx.create_ssl_context()


def job_path(job_id: object) -> str:
    """Return the path of a job. An id may come from anywhere; it stays one part of the path."""
    return f"/jobs/{quote(str(job_id), safe='')}"


def parse_job(answer: Any) -> JobRecord:
    """Read the job of an answer. Raises ``BoardUnreachable`` if it is none, for then no board answered."""
    try:
        return JobRecord.from_json(answer)
    except (TypeError, ValueError, AttributeError):
        raise BoardUnreachable("The answer is not from a board.") from None


def error_of_problem(problem: Any) -> BoardRefused:
    """Return the error that a problem document describes. Raises ``BoardUnreachable`` if it is none."""
    if not isinstance(problem, Mapping) or not isinstance(problem.get("status"), int):
        raise BoardUnreachable("The answer is not from a board.")
    status, code = int(problem["status"]), str(problem.get("code", ""))
    message = str(problem.get("detail") or problem.get("title") or f"The board answered {status}.")
    if status == 409 and isinstance(job := problem.get("job"), Mapping):
        return STOPS.get(code, JobConflict)(code, message, parse_job(job))
    # A scope that is missing for one job closes nothing else to the token.
    if status == 401 or (status == 403 and code != "missing_scope"):
        return Unauthorized(status, code, message)
    if status == 404:
        return JobNotFound(status, code, message)
    faults = [fault for fault in problem.get("errors") or () if isinstance(fault, Mapping)]
    return BoardRefused(status, code, message, faults)


def _error_of_response(response: httpx.Response) -> BoardRefused | BoardUnreachable:
    try:
        problem = json.loads(response.content)
    except (ValueError, RecursionError):
        problem = None
    from_board = isinstance(problem, dict) and {"code", "request_id", "title"} <= problem.keys()
    if not from_board or (response.status_code in TRANSIENT and problem["code"] != DAILY_LIMIT):
        # What is not the board's own answer comes from something in front of it, and says nothing about the job.
        detail = problem.get("detail") if isinstance(problem, dict) else None
        where = f" and leads to {response.headers['Location']}" if "Location" in response.headers else ""
        return BoardUnreachable(
            f"The board answered {response.status_code}{where}{f': {detail}' if detail else '.'}",
            status=response.status_code,
            retry_after=_retry_after(response),
        )
    return error_of_problem({**problem, "status": response.status_code})


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
