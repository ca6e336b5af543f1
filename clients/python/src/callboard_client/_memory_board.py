"""Keep jobs in memory as a board does: what may follow which status, and what is answered to a request."""

import threading
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from callboard_client._clock import format_time, utc_now
from callboard_client._sender import StopCall, call_back
from callboard_client._transport import error_of_problem
from callboard_client.errors import BoardRefused
from callboard_client.record import FINAL, STATUSES, JobStatus

LogLevel = Literal["debug", "info", "warning", "error"]


class LogLine(NamedTuple):
    """One line of a job's log."""

    text: str
    level: LogLevel


@dataclass(eq=False)
class RecordedJob:
    """What was reported of one job. Values are as the board would get them: JSON, cut to the board's limits."""

    type: str
    payload: dict[str, Any] | None = None
    key: str | None = None
    """The key that was given, or one that the client made."""
    tags: tuple[str, ...] = ()
    link: str | None = None
    parent_id: str | None = None
    max_duration: int | None = None
    heartbeat_timeout: int | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    runner: str | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    statuses: list[JobStatus] = field(default_factory=lambda: ["pending"])
    """Every status that the job had, in order."""
    progress_reports: list[int] = field(default_factory=list)
    """Every percentage that was reported, in order."""
    messages: list[str] = field(default_factory=list)
    """Every message that was reported, in order."""
    log: list[LogLine] = field(default_factory=list)
    stop_reported: bool = False
    """Whether the runner reported that the canceled work stopped."""
    refused_status: JobStatus | None = None
    """The end that the runner reported of a job that was canceled before, if it did."""
    created_at: datetime = field(default_factory=utc_now)
    _cancel: "Callable[[RecordedJob], None]" = field(default=lambda _: None, repr=False)

    @property
    def status(self) -> JobStatus:
        """The status as it stands."""
        return self.statuses[-1]

    @property
    def progress(self) -> int:
        """The percentage as it stands: the last one that was reported, 100 once the job completed."""
        return 100 if self.status == "completed" else (self.progress_reports or [0])[-1]

    @property
    def message(self) -> str | None:
        """The message as it stands: the last one that was reported."""
        return self.messages[-1] if self.messages else None

    def cancel(self) -> None:
        """Cancel the job, as an operator does: its work learns of that at once. Does nothing to an ended job."""
        self._cancel(self)


class MemoryBoard:
    """Answer the requests of a client from memory. Thread-safe. A ``Transport``."""

    def __init__(self, on_cancel: Callable[[], Sequence[StopCall]]) -> None:
        """``on_cancel`` lets the work of canceled jobs learn of it, with the lock; its calls are made without it."""
        self.jobs: list[RecordedJob] = []
        self.cancel_conditions: list[Callable[[RecordedJob], bool]] = []
        self._by_id: dict[str, RecordedJob] = {}
        self._by_key: dict[str, tuple[RecordedJob, object]] = {}
        self.lock = threading.RLock()
        self._on_cancel = on_cancel
        self._has_canceled = False

    def reopen(self) -> None:
        """Do nothing: there are no connections."""

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the JSON of the answer. Raises ``BoardRefused``."""
        with self.lock:
            answer = self._answer(method, path.strip("/").split("/"), body, key, query or {})
            calls = self._announce_cancels()
        call_back(calls)
        return answer

    def cancel(self, job: RecordedJob) -> None:
        """Cancel a job that has not ended."""
        with self.lock:
            self._cancel(job)
            calls = self._announce_cancels()
        call_back(calls)

    def _announce_cancels(self) -> Sequence[StopCall]:
        has_canceled, self._has_canceled = self._has_canceled, False
        return self._on_cancel() if has_canceled else ()

    def _answer(self, method: str, path: Sequence[str], body: Any, key: str | None, query: Mapping[str, Any]) -> Any:
        match method, *path:
            case "POST", "jobs":
                return _to_json(self._create(body, key))
            case "GET", "jobs":
                return self._list(query)
            case "GET", "jobs", "counts":
                statuses = [job.status for job in self.jobs]
                return {status: {"count": statuses.count(status), "capped": False} for status in STATUSES}
            case "POST", "jobs", "batch":
                return {"data": [self._update_one_of_many(dict(report)) for report in body["data"]]}
            case "PATCH", "jobs", job_id:
                return _to_json(self._update(self._find(job_id), body))
            case "GET", "jobs", job_id:
                return _to_json(self._find(job_id))
            case "POST", "jobs", job_id, "cancel":
                return _to_json(self._cancel_by_request(self._find(job_id)))
            case "POST", "jobs", job_id, "logs":
                job = self._find(job_id)
                job.log += [LogLine(line["text"], line["level"]) for line in body["lines"]]
                return {"next_after": len(job.log)}
            case "GET", "jobs", job_id, "logs":
                return _list_log(self._find(job_id), query.get("after", 0))
            case "GET", "jobs", job_id, "events":
                return {"data": _list_events(self._find(job_id)), "next_cursor": None}
        raise BoardRefused(404, "not_found", f"There is no {method} /{'/'.join(path)}.")

    def _find(self, job_id: str) -> RecordedJob:
        job = self._by_id.get(unquote(job_id))
        if job is None:
            raise _refusal(404, "not_found", "There is no such job.")
        return job

    def _create(self, body: dict[str, Any], key: str | None) -> RecordedJob:
        content = _trim_names({name: value for name, value in body.items() if name != "occurred_at"})
        if key is not None and key in self._by_key:
            job, earlier_content = self._by_key[key]
            if content != earlier_content:
                raise _refusal(422, "idempotency_key_reused", "The key was used for another job.")
            return job
        tags = tuple(dict.fromkeys(content.get("tags", ())))
        job = RecordedJob(**{**content, "tags": tags}, key=key, _cancel=self.cancel)
        self.jobs.append(job)
        self._by_id[job.id] = job
        if key is not None:
            self._by_key[key] = job, content
        self._cancel_if_due(job)
        return job

    def _update(self, job: RecordedJob, body: Mapping[str, Any]) -> RecordedJob:
        body = _trim_names(body)
        status: JobStatus | None = body.get("status")
        if job.status == "canceled":
            return self._update_canceled(job, body)
        if job.status in FINAL and _repeats(job, body):
            return job
        if job.status in FINAL or (job.status == "running" and status == "pending"):
            raise _refusal(409, "illegal_transition", f"The job is {job.status}, which this report contradicts.", job)
        if job.status == "pending" and _needs_start(body):
            raise _refusal(409, "illegal_transition", "The job is pending: report status running first.", job)
        _apply(job, body)
        if status is not None and status != job.status:
            job.statuses.append(status)
            job.stop_reported = status == "canceled"
        self._cancel_if_due(job)
        return job

    def _update_canceled(self, job: RecordedJob, body: Mapping[str, Any]) -> RecordedJob:
        if body.get("status") == "canceled":
            job.stop_reported = True
            _apply(job, {name: value for name, value in body.items() if name == "message"})
            return job
        if body.get("status") in ("completed", "failed") and job.refused_status is None:
            job.refused_status = body["status"]
        raise _refusal(409, "job_canceled", "The job was canceled: stop.", job)

    def _update_one_of_many(self, report: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"job": _to_json(self._update(self._find(report.pop("id")), report), _OMITTED_IN_BATCH)}
        except BoardRefused as refusal:
            problem: dict[str, Any] = {"status": refusal.status, "code": refusal.code, "detail": str(refusal)}
            if (job := getattr(refusal, "job", None)) is not None:
                problem["job"] = {name: value for name, value in job.to_json().items() if name not in _OMITTED_IN_BATCH}
            return {"problem": problem}

    def _cancel_by_request(self, job: RecordedJob) -> RecordedJob:
        if job.status in FINAL and job.status != "canceled":
            detail = f"The job had already {job.status} and cannot be canceled."
            raise _refusal(409, "job_finished", detail, job)
        self._cancel(job)
        return job

    def _cancel_if_due(self, job: RecordedJob) -> None:
        if any(condition(job) for condition in self.cancel_conditions):
            self._cancel(job)

    def _cancel(self, job: RecordedJob) -> None:
        if job.status not in FINAL:
            job.statuses.append("canceled")
            self._has_canceled = True

    def _list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        jobs = [
            job
            for job in reversed(self.jobs)
            if job.status in (query.get("status") or STATUSES)
            and query.get("type") in (None, job.type)
            and (query.get("tag") is None or query["tag"] in job.tags)
        ]
        start = int(query.get("cursor") or 0)
        end = start + query["limit"]
        return {
            "data": [_to_json(job, without=("payload", "result")) for job in jobs[start:end]],
            "next_cursor": str(end) if end < len(jobs) else None,
        }


_FIELDS = (
    *("id", "type", "status", "payload", "result", "error", "progress", "message", "link", "runner"),
    *("max_duration", "heartbeat_timeout", "parent_id"),
)
_OMITTED_IN_BATCH = ("payload", "result", "error")


def _trim_names(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with its names as the board keeps them: white space at their ends is no part of them.

    Raises ``BoardRefused`` for one that is blank or has control characters.
    """
    trimmed = dict(body)
    for name in body.keys() & {"type", "runner"}:
        trimmed[name] = _trim_name(name, body[name])
    if "tags" in body:
        trimmed["tags"] = [_trim_name("tags", tag) for tag in body["tags"]]
    return trimmed


def _trim_name(field_name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.isprintable() and any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise _refusal(422, "invalid", f"{field_name}: Text in one line, without control characters.")
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise _refusal(422, "invalid", f"{field_name}: At least one character that can be seen.")
    return text


def _repeats(job: RecordedJob, body: Mapping[str, Any]) -> bool:
    """Tell whether a report of an ended job says nothing new: whoever sends it again is not in error."""
    fields = {name: value for name, value in body.items() if name not in ("status", "occurred_at")}
    if "status" not in body:
        return not fields
    return body["status"] == job.status and all(getattr(job, name) == value for name, value in fields.items())


def _needs_start(body: Mapping[str, Any]) -> bool:
    """Tell whether a report is one of a job that was started."""
    status = body.get("status")
    return status == "completed" or (status in (None, "pending") and bool(body.keys() & {"progress", "result"}))


def _apply(job: RecordedJob, body: Mapping[str, Any]) -> None:
    """Record the fields of a report but its status."""
    if "progress" in body:
        job.progress_reports.append(body["progress"])
    if "message" in body:
        job.messages.append(body["message"])
    for name in ("result", "error", "link", "runner"):
        if name in body:
            setattr(job, name, body[name])


def _refusal(status: int, code: str, detail: str, job: RecordedJob | None = None) -> BoardRefused:
    problem: dict[str, Any] = {"status": status, "code": code, "detail": detail}
    return error_of_problem(problem if job is None else {**problem, "job": _to_json(job)})


def _to_json(job: RecordedJob, without: Sequence[str] = ()) -> dict[str, Any]:
    record = {name: getattr(job, name) for name in _FIELDS if name not in without}
    return {**record, "tags": list(job.tags), "created_at": format_time(job.created_at)}


def _list_log(job: RecordedJob, after: int) -> dict[str, Any]:
    at = format_time(job.created_at)
    lines = [{"seq": seq, "at": at, **line._asdict()} for seq, line in enumerate(job.log, 1) if seq > after]
    return {"data": lines, "next_after": len(job.log)}


def _list_events(job: RecordedJob) -> list[dict[str, Any]]:
    common = {"at": format_time(job.created_at), "by": "", "message": None}
    return [
        {"kind": "moved" if before else "enqueued", "from": before, "to": after, **common}
        for before, after in zip([None, *job.statuses], job.statuses, strict=False)
    ]
