"""Report background jobs to a Callboard, and learn of a cancel.

from callboard_client import Client

client = Client()  # CALLBOARD_URL and CALLBOARD_TOKEN say which board
with client.job("generate-report", payload={"month": "2026-10"}) as job:
    for page in range(1, 11):
        job.progress(page * 10, message=f"page {page} of 10")
    job.result = {"pages": 10}
"""

from callboard_client.async_client import AsyncClient
from callboard_client.client import Client
from callboard_client.errors import (
    BoardRefused,
    BoardUnreachable,
    CallboardError,
    JobCanceled,
    JobConflict,
    JobNotFound,
    JobStopped,
    JobTimedOut,
    NotConfigured,
    Unauthorized,
)
from callboard_client.job import Job, current_job
from callboard_client.record import JobRecord, JobStatus

__all__ = [
    "AsyncClient",
    "BoardRefused",
    "BoardUnreachable",
    "CallboardError",
    "Client",
    "Job",
    "JobCanceled",
    "JobConflict",
    "JobNotFound",
    "JobRecord",
    "JobStatus",
    "JobStopped",
    "JobTimedOut",
    "NotConfigured",
    "Unauthorized",
    "current_job",
]
