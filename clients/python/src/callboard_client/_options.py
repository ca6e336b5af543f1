"""Describe a new job: the options that ``Client.job``, ``Client.enqueue_job`` and ``Client.track`` share."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from callboard_client._serialize import clean_text, seconds, serialize_object
from callboard_client.job import Job
from callboard_client.record import JobRecord

HEARTBEAT_TIMEOUT = 60
"""Seconds without a report after which the board fails a job as lost, unless the job has another limit."""
HEARTBEAT_INTERVAL = 10.0
"""Seconds from one heartbeat to the next, at most: so long a job may not know of its cancel."""
MAX_TYPE_LENGTH = 200

Parent = Job | JobRecord | str | uuid.UUID


class JobOptions(TypedDict, total=False):
    """What may be said of a new job beside its type and payload."""

    tags: Sequence[str]
    """Words to find the job by. None unless given."""
    max_duration: int | None
    """Seconds after which the board fails the job as timed out. No limit unless given."""
    heartbeat_timeout: int | None
    """Seconds without a report after which the board fails the job as lost; ``None`` for no limit."""
    parent: Parent | None
    """The job that this one belongs to."""
    link: str | None
    """The address of a page about the job."""
    key: str | None
    """The runner's own id of the job: a second job with the same key and the same content is the first one."""


def new_job_body(
    type: str,
    payload: Mapping[str, Any] | None,
    tags: Sequence[str],
    max_duration: int | None,
    heartbeat_timeout: int | None,
    parent: Parent | None,
    link: str | None,
) -> dict[str, Any]:
    """Return the body of the request that creates a job."""
    parent_id = parent.id if isinstance(parent, Job | JobRecord) else parent
    body = {
        "type": clean_text(type)[:MAX_TYPE_LENGTH],
        "payload": serialize_object(payload),
        "tags": [clean_text(tag) for tag in tags] or None,
        "max_duration": seconds(max_duration),
        "heartbeat_timeout": seconds(heartbeat_timeout),
        "parent_id": None if parent_id is None else clean_text(parent_id),
        "link": None if link is None else clean_text(link),
    }
    return {name: value for name, value in body.items() if value is not None}
