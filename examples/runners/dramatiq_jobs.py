"""Dramatiq actors as jobs. Run a worker in this folder: dramatiq dramatiq_jobs"""

# docs: begin
import os
import time

import dramatiq
from callboard_client import Client, current_job
from callboard_client.integrations.dramatiq import CallboardMiddleware
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://localhost:6379"))
broker.add_middleware(CallboardMiddleware(Client()))
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=2)
def generate_report(month: str) -> None:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    current_job().result = {"pages": 10}


# docs: end
