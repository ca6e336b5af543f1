"""Jobs: four verbs (enqueue, update, get, cancel), and all that belongs to a job.

``enqueue_job``, ``update_job_status``, ``get_job_status`` and ``cancel_job`` are for Python code in this process. The
doors, which check a body as a whole, hand it to ``enqueue_new_job`` and ``apply_report``.

What names a job by its id takes ``within``: the workspace that the caller may see; a job elsewhere is not found. Only
in-process code and the command line may leave it out. What lists or writes several takes the workspace first.
"""

from webapp.core.jobs.cancel import CancelOutcome, cancel_job, cancel_jobs
from webapp.core.jobs.decisions import JobConflict
from webapp.core.jobs.enqueue import enqueue_job, enqueue_new_job, enqueue_once
from webapp.core.jobs.past import PastJob, record_past
from webapp.core.jobs.read import (
    get_job_status,
    get_parent,
    list_children,
    list_events,
    list_events_after,
    list_recent_events,
)
from webapp.core.jobs.update import apply_report, apply_reports, fail_overdue, update_job_status

__all__ = [
    "CancelOutcome",
    "JobConflict",
    "PastJob",
    "apply_report",
    "apply_reports",
    "cancel_job",
    "cancel_jobs",
    "enqueue_job",
    "enqueue_new_job",
    "enqueue_once",
    "fail_overdue",
    "get_job_status",
    "get_parent",
    "list_children",
    "list_events",
    "list_events_after",
    "list_recent_events",
    "record_past",
    "update_job_status",
]
