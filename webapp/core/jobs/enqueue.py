"""Creates jobs: the first of the four verbs."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError

from webapp.core import clock, metrics
from webapp.core.audit import SYSTEM, Actor
from webapp.core.errors import Fault, Invalid, NotFound
from webapp.core.jobs import idempotency, read, store
from webapp.core.jobs.idempotency import RequestKey
from webapp.core.jobs.inputs import NewJob
from webapp.core.json_text import measure_json
from webapp.core.lifecycle import JobStatus
from webapp.core.limits import limits, usage
from webapp.core.models import IdempotencyKey, JobRun, JobSnapshot, job_runs, new_id


def enqueue_job(
    type: str,
    workspace_id: uuid.UUID | None,
    payload: dict[str, Any] | None = None,
    *,
    tags: Sequence[str] = (),
    max_duration: int | None = None,
    heartbeat_timeout: int | None = None,
    parent_id: uuid.UUID | None = None,
    link: str | None = None,
    runner: str | None = None,
    by: Actor = SYSTEM,
) -> uuid.UUID:
    """Create a pending job and return its id. ``max_duration`` and ``heartbeat_timeout`` are seconds.

    Raises ``Invalid`` (with every fault), ``NotFound`` (no such workspace) and ``OverDailyLimit``.
    """
    fields = {
        "type": type,
        "payload": payload,
        # A text is a sequence as well; as it is, it is refused like every other thing that is no list.
        "tags": list(tags) if isinstance(tags, list | tuple) else tags,
        "max_duration": max_duration,
        "heartbeat_timeout": heartbeat_timeout,
        "parent_id": parent_id,
        "link": link,
        "runner": runner,
    }
    return enqueue_new_job(workspace_id, NewJob.parse(fields), by=by).id


class _KeyTaken(Exception):
    """Another request with the same key was faster."""


def enqueue_once(
    workspace_id: uuid.UUID, new: NewJob, request_key: RequestKey, *, by: Actor
) -> tuple[JobSnapshot | JobRun, bool]:
    """Create a job unless one was created under the same key. Returns the job, and whether it was there already.

    Raises as ``enqueue_job`` does, and ``KeyReused``. Of equal requests at once, in whatever processes, one creates.
    """
    while True:
        if earlier := idempotency.find_request(workspace_id, request_key):
            return read.get_job_status(earlier.job_id, within=workspace_id), True
        try:
            return enqueue_new_job(workspace_id, new, by=by, request_key=request_key), False
        except _KeyTaken:
            continue


def enqueue_new_job(
    workspace_id: uuid.UUID | None, new: NewJob, *, by: Actor, request_key: RequestKey | None = None
) -> JobSnapshot:
    """Create a pending job from a checked body, with its ``enqueued`` event. Raises as ``enqueue_job`` does."""
    now = clock.now()
    created_at = new.creation_time(now)
    job_id = new_id(created_at)
    values: dict[str, Any] = dict.fromkeys(job_runs.c.keys()) | {
        "id": job_id,
        "type": new.type,
        "status": JobStatus.PENDING,
        "payload": new.payload,
        "progress": 0,
        "workspace_id": workspace_id,
        "created_by": by.ref,
        "created_at": created_at,
        "updated_at": now,
        "tags": list(dict.fromkeys(new.tags or ())),
        "link": new.link,
        "runner": new.runner,
        "max_duration": new.max_duration,
        "heartbeat_timeout": new.heartbeat_timeout,
        "parent_id": new.parent_id,
        "version": 1,
    }
    _require_parent(workspace_id, new.parent_id)
    try:
        with usage.of_process.claimed(workspace_id, limits.PAYLOAD_SIZE, measure_json(new.payload)):
            values |= store.insert_job(values, request_key, by=by)
    except IntegrityError as error:
        if request_key and IdempotencyKey.__tablename__ in str(error.orig):
            raise _KeyTaken from None
        _require_parent(workspace_id, new.parent_id)
        raise NotFound("There is no such workspace.") from None
    metrics.jobs_created.labels(by.kind).inc()
    return JobSnapshot(**values)


def _require_parent(workspace_id: uuid.UUID | None, parent_id: uuid.UUID | None) -> None:
    """Refuse a parent that is not in the workspace of its child. Raises ``Invalid``."""
    if parent_id is not None and not store.job_exists(workspace_id, parent_id):
        raise Invalid([Fault(("parent_id",), "There is no such job in this workspace.")])
