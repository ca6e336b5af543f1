"""Huey tasks as jobs. Run a worker in this folder: huey_consumer huey_jobs.huey"""

# docs: begin
import time

from callboard_client import Client, current_job
from callboard_client.integrations.huey import connect
from huey import SqliteHuey

huey = SqliteHuey(filename="huey.db")
connect(huey, Client())


@huey.task(retries=2)
def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
