"""The shapes of this door: the query of a list, and an event as JSON."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from werkzeug.datastructures import MultiDict

from webapp.core.errors import Fault, Invalid
from webapp.core.job_list import JobFilter
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobEvent
from webapp.core.record import moment
from webapp.core.reports import Body, Moment, Tag, TypeName

NO_PARAMETER = "There is no such parameter."


def event_json(number: int, event: JobEvent) -> dict[str, Any]:
    """One line of a job's history as JSON.

    Its id is its place in the history: the row's own number would tell how much happens in other workspaces.
    """
    return {
        "id": number,
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


class ListQuery(Body):
    """The query of ``GET /jobs``. ``status`` may be repeated."""

    status: tuple[Annotated[JobStatus, Field(strict=False)], ...] = ()
    type: TypeName | None = None
    tag: Tag | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(_number)] = 50
    cursor: Annotated[uuid.UUID, BeforeValidator(_cursor)] | None = None

    @classmethod
    def read(cls, args: MultiDict[str, str]) -> "ListQuery":
        """The query, if it breaks no rule. Raises ``Invalid`` with every fault."""
        faults = [fault for name, values in args.lists() for fault in cls._misuse(name, len(values))]
        sent: Mapping[str, Any] = {
            name: tuple(values) if name == "status" else values[0]
            for name, values in args.lists()
            if name in cls.model_fields
        }
        query = None
        try:
            query = cls.checked(sent)
        except Invalid as invalid:
            faults += [Fault((f"?{fault.path[0]}",), fault.detail) for fault in invalid.faults]
        if query is None or faults:
            raise Invalid(faults)
        return query

    @classmethod
    def _misuse(cls, name: str, times: int) -> Iterator[Fault]:
        if name not in cls.model_fields:
            yield Fault((f"?{name}",), NO_PARAMETER)
        elif times > 1 and name != "status":
            yield Fault((f"?{name}",), "Only status may be repeated.")

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
