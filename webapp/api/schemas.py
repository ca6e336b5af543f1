"""The shapes of this door: the query of a list, and a job and an event as JSON."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from werkzeug.datastructures import MultiDict

from webapp.api.body import faults_of_query
from webapp.core.errors import Fault, Invalid
from webapp.core.job_list import JobFilter
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobEvent, JobRun
from webapp.core.reports import Moment, Tag, TypeName

JOB_FIELDS = (
    "id",
    "type",
    "status",
    "payload",
    "result",
    "error",
    "progress",
    "workspace_id",
    "created_by",
    "started_at",
    "completed_at",
    "created_at",
    "updated_at",
    "canceled_at",
    "canceled_by",
    "cancel_seen_at",
    "cancel_confirmed_at",
    "message",
    "tags",
    "link",
    "runner",
    "failure_reason",
    "max_duration",
    "heartbeat_timeout",
    "last_seen_at",
    "parent_id",
)
"""Every field of the record, in the order in which answers give them."""


def moment(at: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond, with ``Z``."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at.year >= 1000 else f"{at.isoformat()[:-6]}Z"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    return str(value) if isinstance(value, uuid.UUID) else value


def job_json(job: JobRun, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The record as JSON. ``without`` names the large fields that an answer leaves out."""
    return {name: _plain(getattr(job, name)) for name in JOB_FIELDS if name not in without}


def event_json(event: JobEvent) -> dict[str, Any]:
    """One line of a job's history as JSON."""
    return {
        "id": event.id,
        "at": moment(event.at),
        "kind": event.kind,
        "from": event.from_status,
        "to": event.to_status,
        "by": event.by,
        "message": event.message,
    }


def _number(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    raise PydanticCustomError("number", "A whole number from 1 to 100")


def _cursor(value: object) -> object:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise PydanticCustomError("cursor", "The next_cursor of an earlier answer") from None


class ListQuery(BaseModel):
    """The query of ``GET /jobs``. ``status`` may be repeated."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    status: tuple[Annotated[JobStatus, Field(strict=False)], ...] = ()
    type: TypeName | None = None
    tag: Tag | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Annotated[int, BeforeValidator(_number), Field(ge=1, le=100)] = 50
    cursor: Annotated[uuid.UUID, BeforeValidator(_cursor)] | None = None

    @classmethod
    def read(cls, args: MultiDict[str, str]) -> "ListQuery":
        """The query, if it breaks no rule. Raises ``Invalid`` with every fault."""
        sent: Mapping[str, Any] = {
            name: tuple(values) if name == "status" else values[0] for name, values in args.lists()
        }
        repeated = [name for name, values in args.lists() if len(values) > 1 and name != "status"]
        faults = [Fault((f"?{name}",), "Only status may be repeated.") for name in repeated]
        query = None
        try:
            query = cls.model_validate(sent)
        except ValidationError as error:
            faults += faults_of_query(error).faults
        if query is None or faults:
            raise Invalid(faults)
        return query

    @property
    def wanted(self) -> JobFilter:
        """What the core's list is asked for."""
        return JobFilter(
            statuses=self.status,
            type=self.type,
            tag=self.tag,
            created_after=self.created_after,
            created_before=self.created_before,
        )
