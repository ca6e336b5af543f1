"""One request to the board, and what its answer means."""

import json
from collections.abc import Mapping
from typing import Any

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
    """A board at an address, asked with a token. Many threads may ask at once."""

    def __init__(self, url: str, token: str, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self.reopen()

    def reopen(self) -> None:
        """Begin with connections of its own, as the child of a fork must."""
        self._http = httpx.Client(
            base_url=f"{self._url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {self._token}", "User-Agent": AGENT, "Accept": "application/json"},
            timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, 3.0)),
        )

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
            answer = self._http.request(method, path, content=content, headers=headers, params=query)
        except (httpx.TransportError, httpx.InvalidURL, RuntimeError) as error:
            # RuntimeError: httpx was closed by the end of the process, or by a fork, in the middle of it.
            raise BoardUnreachable(f"The board cannot be reached: {error or type(error).__name__}") from error
        if answer.is_success:
            try:
                return answer.json()
            except ValueError:
                raise BoardUnreachable(f"What answers at {answer.url.host} is not a board.") from None
        raise _refusal(answer)

    def close(self) -> None:
        self._http.close()


def judged(problem: Mapping[str, Any]) -> BoardRefused:
    """The error that a problem document tells."""
    status, code = int(problem.get("status", 0)), str(problem.get("code", ""))
    message = str(problem.get("detail") or problem.get("title") or f"The board answered {status}.")
    if status == 409 and isinstance(job := problem.get("job"), Mapping):
        return STOPS.get(code, JobConflict)(code, message, JobRecord.from_json(job))
    if status in (401, 403):
        return Unauthorized(status, code, message)
    if status == 404:
        return JobNotFound(status, code, message)
    return BoardRefused(status, code, message, problem.get("errors") or ())


def _refusal(answer: httpx.Response) -> BoardRefused | BoardUnreachable:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    of_board = isinstance(problem, dict) and "code" in problem
    if answer.status_code in LATER or not of_board:
        # What is not the board's own answer comes from something in front of it, and says nothing about the job.
        told = problem.get("detail") if isinstance(problem, dict) else None
        return BoardUnreachable(
            f"The board answered {answer.status_code}{f': {told}' if told else '.'}",
            status=answer.status_code,
            retry_after=_seconds(answer),
        )
    return judged({**problem, "status": answer.status_code})


def _seconds(answer: httpx.Response) -> float | None:
    try:
        return float(answer.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
