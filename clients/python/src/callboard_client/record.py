"""Hold a job as the board has it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from callboard_client._clock import format_time, parse_time

JobStatus = Literal["pending", "running", "completed", "failed", "canceled"]
STATUSES: tuple[JobStatus, ...] = ("pending", "running", "completed", "failed", "canceled")
FINAL: frozenset[JobStatus] = frozenset({"completed", "failed", "canceled"})


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """The record of a job. Times are UTC.

    What an answer leaves out is ``None`` here: ``payload`` after a report; in a list that and ``result``; after several
    reports at once all three of ``payload``, ``result`` and ``error``.
    """

    id: str
    type: str
    status: JobStatus
    payload: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    progress: int = 0
    workspace_id: str | None = None
    created_by: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    created_at: datetime
    updated_at: datetime | None = None
    canceled_at: datetime | None = None
    canceled_by: str | None = None
    cancel_seen_at: datetime | None = None
    cancel_confirmed_at: datetime | None = None
    message: str | None = None
    tags: tuple[str, ...] = ()
    link: str | None = None
    runner: str | None = None
    failure_reason: Literal["error", "timed_out", "lost"] | None = None
    max_duration: int | None = None
    heartbeat_timeout: int | None = None
    last_seen_at: datetime | None = None
    parent_id: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether no other status will follow."""
        return self.status in FINAL

    def to_json(self) -> dict[str, Any]:
        """Return the record as the API has it."""
        return {name: _to_json(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "JobRecord":
        """Read the record of an answer. Fields that this client does not know are ignored: the board may be newer."""
        return cls(**{name: _from_json(name, value) for name, value in data.items() if name in _FIELDS})


_FIELDS = tuple(field.name for field in fields(JobRecord))


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    return list(value) if isinstance(value, tuple) else value


def _from_json(name: str, value: Any) -> Any:
    if name.endswith("_at") and isinstance(value, str):
        return parse_time(value)
    return tuple(value) if name == "tags" and isinstance(value, list) else value
