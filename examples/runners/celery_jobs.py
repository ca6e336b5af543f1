"""Celery tasks as jobs. Run a worker in this folder: celery -A celery_jobs worker"""

# docs: begin
import os
import time

import callboard_client.celery
from callboard_client import Client, current_job
from celery import Celery

broker = os.environ.get("BROKER_URL", "redis://localhost:6379")
app = Celery("reports", broker=broker)
callboard_client.celery.connect(app, Client())


@app.task
def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
