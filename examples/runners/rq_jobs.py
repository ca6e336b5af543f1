"""RQ jobs on the board. Run a worker in this folder: rq worker --job-class rq_jobs.Job reports"""

# docs: begin
import os
import time

from callboard_client import Client, current_job
from callboard_client.integrations.rq import CallboardJob
from redis import Redis
from rq import Queue


class Job(CallboardJob, client=Client()):
    """An RQ job that is reported to the board."""


redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379"))
queue = Queue("reports", connection=redis, job_class=Job)


def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
