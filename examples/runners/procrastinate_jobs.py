"""Procrastinate tasks as jobs. A worker in this folder: python -m procrastinate --app procrastinate_jobs.app worker"""

# docs: begin
import time

from callboard_client import Client, current_job
from callboard_client.integrations.procrastinate import connect
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector())
connect(app, Client())


@app.task(queue="reports")
def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
