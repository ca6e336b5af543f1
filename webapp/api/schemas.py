"""Defines the queries of this door, and writes an event and the lines of a log as JSON."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from werkzeug.datastructures import MultiDict

from webapp.core.clock import to_iso
from webapp.core.errors import Fault, Invalid
from webapp.core.jobs.inputs import Body, Tag, Time, TypeName
from webapp.core.jobs.listing import JobFilter
from webapp.core.jobs.logs import Lines
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobEvent

NO_PARAMETER = "There is no such parameter."


def event_json(number: int, event: JobEvent) -> dict[str, Any]:
    """Return one event of a job's history as JSON, with its place in the history as its id."""
    # The row's own number would tell how much happens in other workspaces.
    return {
        "id": number,
        "at": to_iso(event.at),
        "kind": event.kind,
        "from": event.from_status,
        "to": event.to_status,
        "by": event.by,
        "message": event.message,
    }


def lines_json(page: Lines) -> list[dict[str, Any]]:
    """Return lines of a log as JSON; the first says how many lines before it are gone, if any are."""
    lines: list[dict[str, Any]] = [
        {"seq": line.seq, "at": to_iso(line.at), "level": line.level, "text": line.text} for line in page.lines
    ]
    if page.dropped:
        lines[0]["dropped"] = page.dropped
    return lines


def _limit_up_to(most: int) -> BeforeValidator:
    """Read how many a page may hold."""

    def parse(value: object) -> object:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
            return int(value)
        raise PydanticCustomError("number", "A whole number from 1 to {most}", {"most": most})

    return BeforeValidator(parse)


def _parse_cursor(value: object) -> object:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise PydanticCustomError("cursor", "The next_cursor of an earlier answer") from None


def _parse_event_number(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        return int(value)
    raise PydanticCustomError("cursor", "The next_cursor of an earlier answer")


def _parse_line_number(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        return int(value)
    raise PydanticCustomError("number", "The next_after of an earlier answer, or 0")


class Query(Body):
    """Base of the queries of calls. A parameter may be sent once, but for the one that a query names as repeatable."""

    repeatable: ClassVar[str | None] = None

    @classmethod
    def read(cls, args: MultiDict[str, str]) -> Self:
        """Return the query. Raises ``Invalid`` with every fault."""
        faults = [fault for name, values in args.lists() for fault in cls._find_misuse(name, len(values))]
        sent: Mapping[str, Any] = {
            name: tuple(values) if name == cls.repeatable else values[0]
            for name, values in args.lists()
            if name in cls.model_fields
        }
        query = None
        try:
            query = cls.parse(sent)
        except Invalid as invalid:
            faults += [Fault((f"?{fault.path[0]}",), fault.detail) for fault in invalid.faults]
        if query is None or faults:
            raise Invalid(faults)
        return query

    @classmethod
    def _find_misuse(cls, name: str, times: int) -> Iterator[Fault]:
        if name not in cls.model_fields:
            yield Fault((f"?{name}",), NO_PARAMETER)
        elif times > 1 and name != cls.repeatable:
            only = f"Only {cls.repeatable} may be repeated." if cls.repeatable else "It may be given once."
            yield Fault((f"?{name}",), only)


LAST_NUMBER = 2**31 - 1
"""The highest number that a line or an event can have."""
EVENTS_PAGE = 500
"""Events that one answer gives at most."""


class EventQuery(Query):
    """The query of ``GET /jobs/{id}/events``."""

    limit: Annotated[int, _limit_up_to(EVENTS_PAGE)] = Field(
        EVENTS_PAGE, ge=1, le=EVENTS_PAGE, description=f"How many at most; default {EVENTS_PAGE}."
    )
    cursor: Annotated[int, BeforeValidator(_parse_event_number)] = Field(
        0, ge=0, le=LAST_NUMBER, description="The next_cursor of the page before."
    )


class LogQuery(Query):
    """The query of ``GET /jobs/{id}/logs``."""

    after: Annotated[int, BeforeValidator(_parse_line_number)] = Field(
        0, ge=0, le=LAST_NUMBER, description="Only lines after this one: the next_after of the answer before."
    )


class ListQuery(Query):
    """The query of ``GET /jobs``. ``status`` may be repeated."""

    repeatable: ClassVar[str | None] = "status"

    status: tuple[Annotated[JobStatus, Field(strict=False)], ...] = Field(
        (), description="Only jobs in this status; may be repeated."
    )
    type: TypeName | None = Field(None, description="Only jobs of this type.")
    tag: Tag | None = Field(None, description="Only jobs with this tag.")
    created_after: Time | None = Field(None, description="Only jobs created later than this.")
    created_before: Time | None = Field(None, description="Only jobs created earlier than this.")
    limit: Annotated[int, _limit_up_to(100)] = Field(50, ge=1, le=100, description="How many at most; default 50.")
    cursor: Annotated[uuid.UUID, BeforeValidator(_parse_cursor)] | None = Field(
        None, description="The next_cursor of the page before."
    )

    @property
    def filter(self) -> JobFilter:
        """The filter by which the core lists jobs."""
        return JobFilter(
            statuses=self.status,
            type=self.type,
            tag=self.tag,
            created_after=self.created_after,
            created_before=self.created_before,
        )
