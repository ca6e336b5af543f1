"""The job record as JSON: one shape for the API, the command line and webhooks."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from webapp.core.clock import UtcDateTime
from webapp.core.models import JOB_FIELDS, JobRow, JobRun


def moment(at: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond, with ``Z``."""
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


_PLAIN: Mapping[str, Callable[[Any], str]] = {
    column.name: moment if isinstance(column.type, UtcDateTime) else str
    for column in JobRun.__table__.columns
    if isinstance(column.type, UtcDateTime | sa.Uuid)
}
"""What makes text of the values of a column, where JSON has no such values."""


def job_json(job: JobRun | JobRow | sa.Row[Any], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The record as JSON. ``without`` names the large fields that are left out."""
    names, values = _reading(without)
    told: dict[str, Any] = dict(zip(names, values(job), strict=True))
    for name, plain in _PLAIN.items():
        if (value := told.get(name)) is not None:
            told[name] = plain(value)
    return told


@cache
def _reading(without: tuple[str, ...]) -> tuple[Sequence[str], Callable[[object], Sequence[Any]]]:
    """The names of the fields, and what reads all of them at once."""
    names = [name for name in JOB_FIELDS if name not in without]
    return names, attrgetter(*names)
