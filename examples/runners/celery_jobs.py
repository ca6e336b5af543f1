"""Celery tasks as jobs. Run a worker in this folder: celery -A celery_jobs worker"""

# docs: begin
import os
import time

from callboard_client import Client, current_job
from callboard_client.integrations.celery import connect
from celery import Celery

broker = os.environ.get("BROKER_URL", "redis://localhost:6379")
app = Celery("reports", broker=broker)
connect(app, Client())


@app.task
def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
