"""The job record as JSON: one shape for the API, the command line and webhooks."""

import uuid
from datetime import datetime
from typing import Any

from webapp.core.models import JOB_FIELDS, JobRow, JobRun


def moment(at: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond, with ``Z``."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at.year >= 1000 else f"{at.isoformat()[:-6]}Z"


def job_json(job: JobRun | JobRow, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The record as JSON. ``without`` names the large fields that are left out."""
    return {name: _plain(getattr(job, name)) for name in JOB_FIELDS if name not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    return str(value) if isinstance(value, uuid.UUID) else value
