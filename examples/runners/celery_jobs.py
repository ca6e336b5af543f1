"""Tasks of Celery as jobs. CALLBOARD_URL and CALLBOARD_TOKEN say which board, BROKER_URL which broker."""

import os
import time

import callboard_client.celery
from callboard_client import Client, current_job

# docs: begin
from celery import Celery

app = Celery("reports", broker=os.environ["BROKER_URL"])
callboard_client.celery.connect(app, Client())


@app.task
def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
