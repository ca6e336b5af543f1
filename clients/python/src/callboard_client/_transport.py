"""One request to the board, and what its answer means."""

import functools
import json
import os
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
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

AGENT = "callboard-client-python/0.1.0"
STOPS = {"job_canceled": JobCanceled, "job_timed_out": JobTimedOut}
LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""With these the same request may succeed later."""


class Board:
    """A board at an address, asked with a token. Many threads may ask at once. ``timeout`` is for a whole request."""

    def __init__(self, url: str, token: str, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._http: httpx.Client | None = None
        # Here, and not with the first request: a child that is forked while another thread is in the middle of this has
        # locks of OpenSSL and of imports that nobody gives back. What is wrong with it, the first request tells.
        with suppress(Exception):
            self._http = self._client()

    def reopen(self) -> None:
        """Begin with connections of its own, as the child of a fork must."""
        self._http = None

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """The JSON of the answer. ``key`` is sent as ``Idempotency-Key``.

        Raises ``BoardUnreachable`` if it may succeed later, and else ``BoardRefused``.
        """
        headers = {"Idempotency-Key": key} if key else {}
        content = None
        if body is not None:
            content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        try:
            answer = self._answer(method, path, content=content, headers=headers, params=query)
        except Exception as error:
            # Whatever it is, a proxy's setting or a certificate among it, it is nothing that is wrong with the job.
            raise BoardUnreachable(f"The board cannot be reached: {error or type(error).__name__}") from error
        if answer.is_success:
            try:
                return json.loads(answer.content)
            except (ValueError, RecursionError):
                raise BoardUnreachable(f"What answers at {answer.url.host} is not a board.") from None
        raise _refusal(answer)

    def job(self, method: str, path: str, body: object = None, *, key: str | None = None) -> JobRecord:
        """The job of the answer. Raises as ``call`` does."""
        return record_of(self.call(method, path, body, key=key))

    def _answer(self, method: str, path: str, **sent: Any) -> httpx.Response:
        if self._http is None:
            self._http = self._client()
        # The limits of httpx are for each piece of an answer, and a board that is out of order may send many.
        deadline = time.monotonic() + self._timeout
        with self._http.stream(method, path, **sent) as answer:
            pieces = []
            for piece in answer.iter_bytes():
                pieces.append(piece)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"The answer took longer than {self._timeout:g} s.")
        return httpx.Response(
            answer.status_code, headers=_told(answer), content=b"".join(pieces), request=answer.request
        )

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self._url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {self._token}", "User-Agent": AGENT, "Accept": "application/json"},
            timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, 3.0)),
            verify=_trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        )

    def close(self) -> None:
        if self._http is not None:
            self._http.close()


@functools.cache
def _trusted(file: str | None, folder: str | None) -> ssl.SSLContext:
    """The certificates to trust, as the environment names them. One for all clients and forks, for it takes 25 ms."""
    return httpx.create_ssl_context()


def _told(answer: httpx.Response) -> dict[str, str]:
    names = ("Retry-After", "Location")
    return {name: answer.headers[name] for name in names if name in answer.headers}


def path_of(job_id: object) -> str:
    """The path of a job, whatever its id is said to be."""
    return f"/jobs/{quote(str(job_id), safe='')}"


def record_of(told: Any) -> JobRecord:
    """The job that an answer tells of. Raises ``BoardUnreachable`` for the answer of something that is no board."""
    try:
        return JobRecord.from_json(told)
    except (TypeError, ValueError, AttributeError):
        raise BoardUnreachable("What answers is not a board.") from None


def judged(problem: Any) -> BoardRefused:
    """The error that a problem document tells. Raises ``BoardUnreachable`` if it is none."""
    if not isinstance(problem, Mapping) or not isinstance(problem.get("status"), int):
        raise BoardUnreachable("What answers is not a board.")
    status, code = int(problem["status"]), str(problem.get("code", ""))
    message = str(problem.get("detail") or problem.get("title") or f"The board answered {status}.")
    if status == 409 and isinstance(job := problem.get("job"), Mapping):
        return STOPS.get(code, JobConflict)(code, message, record_of(job))
    if status in (401, 403):
        return Unauthorized(status, code, message)
    if status == 404:
        return JobNotFound(status, code, message)
    faults = [fault for fault in problem.get("errors") or () if isinstance(fault, Mapping)]
    return BoardRefused(status, code, message, faults)


def _refusal(answer: httpx.Response) -> BoardRefused | BoardUnreachable:
    try:
        problem = json.loads(answer.content)
    except (ValueError, RecursionError):
        problem = None
    of_board = isinstance(problem, dict) and {"code", "request_id", "title"} <= problem.keys()
    if answer.status_code in LATER or not of_board:
        # What is not the board's own answer comes from something in front of it, and says nothing about the job.
        told = problem.get("detail") if isinstance(problem, dict) else None
        where = f" and leads to {answer.headers['Location']}" if "Location" in answer.headers else ""
        return BoardUnreachable(
            f"The board answered {answer.status_code}{where}{f': {told}' if told else '.'}",
            status=answer.status_code,
            retry_after=_seconds(answer),
        )
    return judged({**problem, "status": answer.status_code})


def _seconds(answer: httpx.Response) -> float | None:
    try:
        return float(answer.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
