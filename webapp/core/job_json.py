"""Writes the job record as JSON: one shape for the API, the command line and webhooks."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from webapp.core.clock import UtcDateTime, to_iso
from webapp.core.models import JOB_FIELDS, JobRun, JobSnapshot, job_runs

_TO_TEXT: Mapping[str, Callable[[Any], str]] = {
    column.name: to_iso if isinstance(column.type, UtcDateTime) else str
    for column in job_runs.columns
    if isinstance(column.type, UtcDateTime | sa.Uuid)
}
"""What makes text of the values of a column, where JSON has no such values."""


def job_json(job: JobRun | JobSnapshot | sa.Row[Any], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the record as JSON. ``without`` names the large fields that are left out."""
    names, get_values = _field_getter(without)
    record: dict[str, Any] = dict(zip(names, get_values(job), strict=True))
    for name, to_text in _TO_TEXT.items():
        if (value := record.get(name)) is not None:
            record[name] = to_text(value)
    return record


@cache
def _field_getter(without: tuple[str, ...]) -> tuple[Sequence[str], Callable[[object], Sequence[Any]]]:
    """Return the names of the fields, and what reads all of them at once."""
    names = [name for name in JOB_FIELDS if name not in without]
    return names, attrgetter(*names)
