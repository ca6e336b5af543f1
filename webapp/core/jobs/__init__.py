"""The jobs: four verbs (enqueue, update, get, cancel), what may be said of a job, and who finds it."""

from webapp.core.jobs.store import (
    CANCEL_BATCH,
    CancelOutcome,
    PastJob,
    cancel_job,
    cancel_jobs,
    enqueue,
    enqueue_job,
    enqueue_once,
    fail_overdue,
    get_job_status,
    history,
    record_past,
    update,
    update_job_status,
    update_several,
)

__all__ = [
    "CANCEL_BATCH",
    "CancelOutcome",
    "PastJob",
    "cancel_job",
    "cancel_jobs",
    "enqueue",
    "enqueue_job",
    "enqueue_once",
    "fail_overdue",
    "get_job_status",
    "history",
    "record_past",
    "update",
    "update_job_status",
    "update_several",
]
