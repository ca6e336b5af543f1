"""Tasks that a Celery worker of the tests runs."""

import os
import time
from pathlib import Path
from typing import Any

from callboard_client import Client, current_job
from callboard_client.integrations.celery import connect
from celery import Celery
from celery.exceptions import Reject

app = Celery("tests", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(broker_connection_retry_on_startup=True, worker_cancel_long_running_tasks_on_connection_loss=False)
client = Client(interval=0.05)
connect(app, client, heartbeat_timeout=2, grace=0.3, tags=["celery"])


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.01)


@app.task
def report(month: str, until: str) -> dict[str, str]:
    current_job().progress(40, message=month)
    wait_for(until)
    return {"month": month}


@app.task
def fail() -> None:
    raise ValueError("no such month")


@app.task(bind=True, autoretry_for=(Exception,), max_retries=2, default_retry_delay=0)
def flaky(self: Any, until: str) -> int:
    if self.request.retries == 0:
        raise OSError("the printer is on fire")
    current_job().progress(10)
    wait_for(until)
    if self.request.retries == 1:
        raise OSError("it still is")
    return 3


@app.task(autoretry_for=(Exception,), max_retries=5, default_retry_delay=0)
def endless(mark: str) -> None:
    Path(mark).touch()
    for number in range(100_000):
        current_job().progress(number / 1000)
        time.sleep(0.01)


@app.task
def deaf(mark: str) -> None:
    Path(mark).touch()
    time.sleep(100)
    Path(mark).unlink()


class Customer:
    """What a producer may pass, and a worker finds as something else."""

    def __json__(self) -> dict[str, str]:
        return {"name": "Ada"}


@app.task
def greet(who: Any, flags: Any) -> str:
    return str(who["name"])


@app.task
def reject() -> None:
    raise Reject("not for me", requeue=True)


@app.task(time_limit=1)
def overdue() -> None:
    time.sleep(100)
