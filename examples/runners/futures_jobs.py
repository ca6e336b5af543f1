"""Calls of ``concurrent.futures`` as jobs. Run it with CALLBOARD_URL and CALLBOARD_TOKEN set."""

# docs: begin
import time
from concurrent.futures import ThreadPoolExecutor

from callboard_client import Client, current_job
from callboard_client.integrations.futures import TrackedExecutor


def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


with TrackedExecutor(ThreadPoolExecutor(2), Client()) as pool:
    for month in ("2026-08", "2026-09", "2026-10"):
        pool.submit(generate_report, month)
# docs: end
