"""The job record as JSON: one shape for the API, the command line and webhooks."""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from webapp.core.models import JOB_FIELDS, JobRow, JobRun


def moment(at: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond, with ``Z``."""
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


_PLAIN: Mapping[type, Callable[[Any], Any]] = {datetime: moment, uuid.UUID: str}


def job_json(job: JobRun | JobRow, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The record as JSON. ``without`` names the large fields that are left out."""
    return {
        name: plain(value) if (plain := _PLAIN.get(type(value := getattr(job, name)))) else value
        for name in JOB_FIELDS
        if name not in without
    }
