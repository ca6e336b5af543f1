"""Checks what may be sent: a new job, a report on one, lines for its log. The rules of a body alone, before any job
is read. What describes a body here stands in the OpenAPI document too.

Both doors and the core's own functions check here, so every rule about a single field stands in this file and all
faults of a body are named at once. Faults never repeat the rejected value.
"""

import re
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from webapp.core.errors import Fault, Invalid
from webapp.core.json_text import compact_json
from webapp.core.lifecycle import JobStatus
from webapp.core.models import LogLevel
from webapp.core.validation import is_http_address

JSON_LIMIT = 256 * 1024
"""Bytes of compact UTF-8 JSON text that a payload or a result may have."""
ERROR_LIMIT = 64 * 1024
"""Bytes of UTF-8 that an error may have; what is over is cut."""
LINE_LIMIT = 16 * 1024
"""Bytes of UTF-8 that a line of a log may have; what is over is cut."""
LINES_LIMIT = 500
"""Lines that may be sent at a time."""
MESSAGE_LIMIT = 500
"""Characters that a message may have; what is over is cut."""
CUT_MARK = "… [cut]"
BATCH_LIMIT = 500
"""Reports that one batch may hold."""
MAX_SECONDS = 30 * 24 * 3600
"""The longest time-out."""

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)?", re.ASCII)


def _require_storable(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "NUL characters cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("surrogate", "Text must be valid Unicode, without lone surrogates") from None
    return text


def _require_one_line(name: str) -> str:
    """Refuse a name that nobody could read or type again. Its ends are trimmed already."""
    if name.isprintable():
        # As nearly every name is; to look at each character would cost a new job with many tags a tenth more.
        return name
    _require_storable(name)
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        raise PydanticCustomError("control", "Text in one line, without control characters")
    if not any(character.isprintable() and not character.isspace() for character in name):
        raise PydanticCustomError("blank", "At least one character that can be seen")
    return name


def _name_of(length: int) -> StringConstraints:
    """Describe a name of so many characters; white space at its ends is no part of it."""
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=length)


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(inner) for key, inner in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _require_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        text = compact_json(value)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise PydanticCustomError("json", "Only what JSON can say: finite numbers and valid Unicode text") from None
    # In JSON text NUL is an escape, and so are the six harmless characters that spell it.
    if "\\u0000" in text and _has_nul(value):
        raise PydanticCustomError("nul", "NUL characters cannot be stored")
    if size > JSON_LIMIT:
        raise PydanticCustomError("size", "At most 256 KiB as JSON text")
    return value


def _to_whole_number(value: object) -> object:
    """Take 50.0 for the whole number 50: JSON has one kind of number, and some languages write nothing else."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _require_web_address(link: str) -> str:
    if not is_http_address(link) or re.search(r"[\s\x00-\x1f\x7f]", link):
        raise PydanticCustomError("link", "An address that begins with http:// or https://")
    return link


def _parse_iso(text: str) -> datetime:
    """Read a time; a leap second is the second after it. Raises ``ValueError`` and ``OverflowError``."""
    # Python alone takes any character for the T, and text after the zone.
    text = text.upper() if _TIME.fullmatch(text) else ""
    if text[16:19] == ":60":
        return datetime.fromisoformat(f"{text[:16]}:59{text[19:]}").replace(microsecond=0) + timedelta(seconds=1)
    return datetime.fromisoformat(text)


def parse_time(value: object) -> object:
    """Read ISO 8601 text as an aware time in UTC; anything else is handed on for the type to refuse."""
    if isinstance(value, str):
        try:
            value = _parse_iso(value)
        except (ValueError, OverflowError):
            raise PydanticCustomError("moment", "A time in ISO 8601, like 2026-11-24T14:02:00Z") from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise PydanticCustomError("moment", "A time needs its zone; end it with Z for UTC")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise PydanticCustomError("moment", "A time between the years 1 and 9999") from None
    return value


def _cut_message(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - len(CUT_MARK)] + CUT_MARK


def replace_unstorable(text: str) -> str:
    """Return text that can be stored: NUL and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def _cut(text: str, limit: int) -> str:
    """Return text of at most so many bytes of UTF-8 that can be stored: what must arrive is cut, not refused."""
    encoded = replace_unstorable(text).encode()
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - len(CUT_MARK.encode())].decode("utf-8", "ignore") + CUT_MARK


def _cut_error(error: str) -> str:
    """Cut an error: a failing job must not lose its report."""
    return _cut(error, ERROR_LIMIT)


def _cut_line(text: str) -> str:
    return _cut(text, LINE_LIMIT)


JobId = Annotated[uuid.UUID, Field(strict=False)]
Text = Annotated[str, AfterValidator(_require_storable)]
Time = Annotated[datetime, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"})]
JsonObject = Annotated[dict[str, Any], AfterValidator(_require_json)]
Message = Annotated[Text, AfterValidator(_cut_message)]
Link = Annotated[
    str,
    Field(max_length=2000),
    AfterValidator(_require_storable),
    AfterValidator(_require_web_address),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": 2000, "pattern": "^https?://"}),
]
RunnerName = Annotated[str, _name_of(200), AfterValidator(_require_one_line)]
Whole = Annotated[int, BeforeValidator(_to_whole_number)]
Seconds = Annotated[Whole, Field(ge=1, le=MAX_SECONDS)]
TypeName = Annotated[str, _name_of(200), AfterValidator(_require_one_line)]
Tag = Annotated[str, _name_of(64), AfterValidator(_require_one_line)]

LinkField = Annotated[Link | None, Field(description="The runner's own page or log.")]
RunnerField = Annotated[RunnerName | None, Field(description="The host or worker that took the job; trimmed.")]
OccurredAtField = Annotated[
    Time | None, Field(description="When it happened, in a report or of a new job that is told late.")
]

_SENTENCES = {
    "extra_forbidden": "There is no such field",
    "missing": "This field is required",
    "uuid_parsing": "A job's id, a UUID",
    "uuid_type": "A job's id, a UUID",
    "datetime_type": "A time in ISO 8601, like 2026-11-24T14:02:00Z",
    "dict_type": "A JSON object, or null",
    "model_type": "A JSON object",
}


class Body(BaseModel):
    """A body that was sent. Strict: ``"50"`` is no number, ``true`` is no 1, and there are no other fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Return the body, if it breaks no rule. Raises ``Invalid`` with every fault."""
        body: Self | None = None
        faults = []
        try:
            body = cls.model_validate(fields)
        except ValidationError as error:
            for details in error.errors(include_url=False, include_context=False, include_input=False):
                sentence = _SENTENCES.get(details["type"], details["msg"])
                faults.append(Fault(path=details["loc"], detail=f"{sentence}."))
        faults += cls._find_contradictions(fields)
        if body is None or faults:
            raise Invalid(faults)
        return body

    @classmethod
    def _find_contradictions(cls, fields: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield the faults between fields that are each well formed."""
        yield from ()


MAX_AGE = timedelta(days=30)
"""How long ago a job may have been created that is reported now."""


class NewJob(Body):
    """What a runner says of a job that it enqueues.

    ``occurred_at`` tells when it was made, in a request that is sent late.
    """

    type: TypeName = Field(
        description="What kind of work it is, like generate-report; the board filters by it. One line, trimmed."
    )
    payload: JsonObject | None = Field(None, description="What the job is asked to do; at most 256 KiB as JSON text.")
    tags: Annotated[list[Tag], Field(max_length=20)] | None = Field(
        None, description="Words to find the job by, each trimmed."
    )
    max_duration: Seconds | None = Field(
        None, description="Seconds after which the board fails a running job, for good."
    )
    heartbeat_timeout: Seconds | None = Field(
        None, description="Seconds of silence after which the board counts a running job as lost."
    )
    parent_id: JobId | None = Field(None, description="The job that this one belongs to.")
    link: LinkField = None
    runner: RunnerField = None
    occurred_at: OccurredAtField = None

    def creation_time(self, now: datetime) -> datetime:
        """Return when it was created: now, or as it says; neither in the future nor more than 30 days ago."""
        return now if self.occurred_at is None else min(max(self.occurred_at, now - MAX_AGE), now)


class Limits(Body):
    """What a workspace gives the jobs of a type (``None``: of every type) whose runner set no limits. Seconds."""

    type: TypeName | None = None
    heartbeat_timeout: Seconds | None = None
    max_duration: Seconds | None = None


class Report(Body):
    """What a runner says of a job that exists. A field that is null was not sent.

    A report without fields is a heartbeat. ``occurred_at`` tells when it happened, in a report sent late.
    """

    # These two may be absent, but never null.
    status: Annotated[JobStatus, Field(strict=False)] = Field(
        None,  # type: ignore[assignment]
        description="Where the job moves to; leave it out to report on a running job.",
    )
    progress: Annotated[Whole, Field(ge=0, le=100)] = Field(
        None,  # type: ignore[assignment]
        description="How far the job is.",
    )
    message: Message | None = Field(None, description="One short line for the operator; over 500 characters it is cut.")
    result: JsonObject | None = Field(
        None, description="What the job produced, or has so far; at most 256 KiB as JSON text."
    )
    error: Annotated[str, AfterValidator(_cut_error)] | None = Field(
        None, description="Why it failed, with status failed alone; over 64 KiB it is cut."
    )
    link: LinkField = None
    runner: RunnerField = None
    occurred_at: OccurredAtField = None

    @classmethod
    def _find_contradictions(cls, fields: Mapping[str, Any]) -> Iterator[Fault]:
        status = fields.get("status")
        if fields.get("error") is not None and status != JobStatus.FAILED:
            yield Fault(("error",), "Only a report with status failed carries an error.")
        if fields.get("result") is not None and status in (JobStatus.FAILED, JobStatus.CANCELED):
            yield Fault(("result",), "A report with status failed or canceled carries no result.")

    @property
    def content(self) -> dict[str, Any]:
        """Return what was sent to be kept as it is: all but the status and the time."""
        return {
            name: value
            for name in ("progress", "message", "result", "error", "link", "runner")
            if (value := getattr(self, name)) is not None
        }


class BatchedReport(Report):
    """A report among several, which names its job."""

    id: JobId = Field(description="The job that is reported on.")


class Batch(Body):
    """Several reports. Each is checked by itself, as a ``BatchedReport``, so that a faulty one costs no other."""

    data: Annotated[list[Any], Field(min_length=1, max_length=BATCH_LIMIT)]


class NewLine(Body):
    """One line for a job's log. ``at`` tells when it was written, in a report sent late; absent means now."""

    text: Annotated[str, AfterValidator(_cut_line)] = Field(description="What the work printed; over 16 KiB it is cut.")
    level: Annotated[LogLevel, Field(strict=False)] | None = Field(None, description="How grave it is.")
    at: Time | None = Field(None, description="When it was printed, in a line that is sent late.")


class NewLines(Body):
    """What a runner appends to a job's log."""

    lines: list[NewLine] = Field(min_length=1, max_length=LINES_LIMIT, description="The lines, oldest first.")
