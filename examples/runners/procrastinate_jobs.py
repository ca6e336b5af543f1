"""Tasks of Procrastinate as jobs. CALLBOARD_URL and CALLBOARD_TOKEN say which board, PGHOST which queue."""

import time

# docs: begin
from procrastinate import App, PsycopgConnector

import callboard_client.procrastinate
from callboard_client import Client, current_job

app = App(connector=PsycopgConnector())
callboard_client.procrastinate.connect(app, Client())


@app.task(queue="reports")
def generate_report(month: str) -> dict[str, int]:
    for page in range(1, 11):
        current_job().progress(page * 10, message=f"page {page} of 10")
        time.sleep(0.1)  # your work
    return {"pages": 10}


# docs: end
