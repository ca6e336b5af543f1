"""Reads what a runner prefers of an answer (RFC 7240), and writes the short answer to a report."""

from typing import Any

from flask import request
from werkzeug.http import parse_list_header

from webapp.core.models import JobRun, JobSnapshot

MINIMAL = "return=minimal"
MINIMAL_FIELDS = ("id", "status", "progress", "version")
"""What is left of a job for a runner that only wants to know that its report was taken."""
APPLIED = {"Preference-Applied": MINIMAL}


def prefers_minimal() -> bool:
    """Return whether the caller asks for ``return=minimal``. What else it prefers is passed over."""
    header = request.environ.get("HTTP_PREFER")
    if header is None:
        return False
    for preference in parse_list_header(header):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "return":
            # A preference that stands there twice counts as it stands first.
            return value.strip().strip('"').lower() == "minimal"
    return False


def minimal_json(job: JobRun | JobSnapshot) -> dict[str, Any]:
    """Return the short form of a job as JSON."""
    return {name: getattr(job, name) for name in MINIMAL_FIELDS} | {"id": str(job.id)}
