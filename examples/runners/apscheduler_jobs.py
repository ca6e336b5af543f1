"""Scheduled functions as jobs. Run it with CALLBOARD_URL and CALLBOARD_TOKEN set."""

# docs: begin
import time

from apscheduler.schedulers.blocking import BlockingScheduler
from callboard_client import Client, current_job
from callboard_client.integrations.apscheduler import connect

scheduler = BlockingScheduler()
connect(scheduler, Client())


@scheduler.scheduled_job("interval", seconds=5)
def clean_up() -> dict[str, int]:
    for folder in range(1, 11):
        current_job().progress(folder * 10, message=f"folder {folder} of 10")
        time.sleep(0.1)  # your work
    return {"folders": 10}


scheduler.start()
# docs: end
