"""Huey tasks as jobs. Run a worker in this folder: huey_consumer huey_jobs.huey"""

# docs: begin
import time

import callboard_client.huey
from callboard_client import Client, current_job
from huey import SqliteHuey

huey = SqliteHuey(filename="huey.db")
callboard_client.huey.connect(huey, Client())


@huey.task(retries=2)
def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
