"""Make the HTTP request of entries, and read an answer for each of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from callboard_client._clock import format_time, utc_now
from callboard_client._outbox import Entry
from callboard_client._transport import Transport, error_of_problem, job_path, parse_job
from callboard_client.errors import BoardRefused, BoardUnreachable, JobNotFound
from callboard_client.record import JobRecord

LATE_AFTER = 2.0
"""Seconds after which a report says when it happened; before that the board's own clock is the better one."""

Answer = JobRecord | BoardRefused | None
"""The job as it stands now, why the board refused, or ``None`` for log lines, which have no other answer."""


def send_entries(transport: Transport, entries: Sequence[Entry]) -> list[Answer]:
    """Send entries in one request; return an answer for each.

    Raises ``BoardUnreachable`` and ``Unauthorized`` when they are to be sent again later, and another ``BoardRefused``
    when the request is refused as a whole.
    """
    first = entries[0]
    if first.kind == "create":
        return [parse_job(transport.request("POST", "/jobs", _dated_body(first), key=first.key))]
    if first.job.id is None:
        return [JobNotFound(404, "not_found", "The job was not created.")]
    if first.kind == "log":
        # The same key for the same lines, however often they are sent.
        first.key = first.key or first.job.local_id + format_time(first.at)
        transport.request("POST", f"{job_path(first.job.id)}/logs", {"lines": _lines(first)}, key=first.key)
        return [None]
    if len(entries) == 1:
        return [parse_job(transport.request("PATCH", job_path(first.job.id), _dated_body(first)))]
    reports = [{"id": entry.job.id, **_dated_body(entry)} for entry in entries]
    return _parse_batch(transport.request("POST", "/jobs/batch", {"data": reports}), len(entries))


def _dated_body(entry: Entry) -> dict[str, Any]:
    """Return the body, with the time of what it reports if that is long ago. Only changes of the status have one."""
    body = entry.body
    if entry.parent is not None and entry.parent.id is not None:
        body = {**body, "parent_id": entry.parent.id}
    changes_status = entry.kind == "create" or "status" in body
    late = changes_status and (utc_now() - entry.at).total_seconds() > LATE_AFTER
    return {**body, "occurred_at": format_time(entry.at)} if late else body


def _lines(entry: Entry) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = entry.body["lines"]
    if not entry.omitted:
        return lines
    return [{"text": f"… {entry.omitted:,} lines left out …", "level": "warning", "at": lines[0]["at"]}, *lines]


def _parse_batch(answer: Any, count: int) -> list[Answer]:
    items = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(items, list) or len(items) != count or not all(isinstance(item, Mapping) for item in items):
        raise BoardUnreachable("The answer is not from a board.")
    return [parse_job(item["job"]) if item.get("job") else error_of_problem(item.get("problem")) for item in items]
