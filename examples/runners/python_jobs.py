"""A job in plain Python. Run it with CALLBOARD_URL and CALLBOARD_TOKEN set."""

# docs: begin
import time

from callboard_client import Client

client = Client()

with client.job("generate-report", {"month": "2026-10"}) as job:
    for page in range(1, 11):
        job.progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    job.result = {"pages": 10}
# docs: end
