"""A job as the board has it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, Literal

JobStatus = Literal["pending", "running", "completed", "failed", "canceled"]
STATUSES: tuple[JobStatus, ...] = ("pending", "running", "completed", "failed", "canceled")
FINAL: frozenset[JobStatus] = frozenset({"completed", "failed", "canceled"})


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """The record of a job. Times are UTC. What an answer leaves out (``payload`` after a report) is null here."""

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
        """Whether nothing will follow this status."""
        return self.status in FINAL

    def to_json(self) -> dict[str, Any]:
        """The record as the API has it."""
        return {name: _told(value) for name in _ORDER for value in [getattr(self, name)]}

    @classmethod
    def from_json(cls, sent: Mapping[str, Any]) -> "JobRecord":
        """The record of an answer. Fields that this client does not know are left out: the board may be newer."""
        return cls(**{name: _loaded(name, value) for name, value in sent.items() if name in _NAMES})


_ORDER = tuple(field.name for field in fields(JobRecord))
_NAMES = frozenset(_ORDER)


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return list(value) if isinstance(value, tuple) else value


def _loaded(name: str, value: Any) -> Any:
    if name.endswith("_at") and isinstance(value, str):
        return parse_time(value)
    return tuple(value) if name == "tags" and isinstance(value, list) else value


def parse_time(text: str) -> datetime:
    """A moment as the board writes it, in UTC. Raises ``ValueError``."""
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
