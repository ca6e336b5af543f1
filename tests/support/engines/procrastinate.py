"""Procrastinate: a worker that does one task at a time, on PostgreSQL."""

import inspect
import os
import sys
from typing import Any

import psycopg
import sqlalchemy as sa

from tests.support.engines import work
from tests.support.engines.engine import LocalQueueEngine
from tests.support.waiting import wait_until


class Procrastinate(LocalQueueEngine):
    """Procrastinate as docs/runners/procrastinate.md shows it. Some of its tasks are coroutines."""

    source = """
import asyncio
import os
from callboard_client import Client, current_job
from callboard_client.integrations.procrastinate import connect
from procrastinate import App, PsycopgConnector, RetryStrategy
from tests.support.engines import work

client = Client(interval=0.05)
app = App(connector=PsycopgConnector(conninfo=os.environ["QUEUE_URL"]))
connect(app, client, **work.options())

async def wait_for(name):
    while not work.path_of(name).exists():
        await asyncio.sleep(0.01)

generate_report = app.task(name="shop.generate_report")(work.generate_report)
note = app.task(name="shop.note")(work.note)
endless = app.task(name="shop.endless", retry=2)(work.endless)

@app.task(name="shop.fail")
async def fail():
    work.fail()

@app.task(name="shop.import_rows", retry=RetryStrategy(max_attempts=2))
async def import_rows(failures):
    if work.note("tried") <= failures:
        raise ValueError("no rows yet")
    await wait_for("go")
    return 3

@app.task(name="shop.import_rows_slowly", retry=RetryStrategy(max_attempts=2, wait=1))
async def import_rows_slowly(failures):
    return await import_rows(failures)

@app.task(name="shop.silent", retry=2)
async def silent():
    current_job().progress(50)
    work.note("began")
    try:
        await wait_for("go")
    finally:
        work.note("ended")

@app.task(name="shop.once")
async def once():
    work.note("began")
    await asyncio.sleep(100)
"""
    fixtures = ("queue_url",)
    canceled_state = "aborted"
    interrupted_message = None
    example_type = "procrastinate_jobs.generate_report"

    def enqueue(self, task: str, *args: Any, **kwargs: Any) -> int:
        with self.shop.app.open():
            task_id: int = getattr(self.shop, task).defer(**self._bind_names(task, *args, **kwargs))
        self.shop.client.flush(2)
        return task_id

    def _bind_names(self, task: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments of a task by their names: Procrastinate takes no others."""
        if not args and not kwargs:
            return {}
        return dict(inspect.signature(getattr(work, task)).bind(*args, **kwargs).arguments)

    def enqueue_unconnected(self, task: str, *args: Any) -> None:
        source = f"""
import os
from procrastinate import App, PsycopgConnector
app = App(connector=PsycopgConnector(conninfo=os.environ["QUEUE_URL"]))
with app.open():
    app.configure_task("shop.{task}").defer(**{self._bind_names(task, *args)!r})
"""
        self.run_source(source)

    def worker_command(self, *options: str, app: str = "shop.app") -> list[str]:
        command = [sys.executable, "-m", "procrastinate", "--app", app, "worker"]
        command += ["--fetch-job-polling-interval", "0.2", "--abort-job-polling-interval", "0.2"]
        return [*command, "--shutdown-graceful-timeout", "0.1", *options]

    def wait_for_result(self, task: int, result: object) -> None:
        wait_until(lambda: self.get_state(task) == "succeeded", seconds=30)

    def get_state(self, task: int) -> str:
        with psycopg.connect(os.environ["QUEUE_URL"]) as connection:
            row = connection.execute("SELECT status FROM procrastinate_jobs WHERE id = %s", [task]).fetchone()
        assert row
        return str(row[0])

    def job_type(self, task: str) -> str:
        return f"shop.{task}"

    def payload(self, task: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"args": [], "kwargs": self._bind_names(task, *args, **kwargs)}

    def start_example(self) -> None:
        url = sa.make_url(os.environ["QUEUE_URL"])
        variables = {
            "PGHOST": url.host or url.query["host"],
            "PGPORT": url.port,
            "PGDATABASE": url.database,
            "PGUSER": url.username,
            "PGPASSWORD": url.password,
        }
        named = {name: str(value) for name, value in variables.items() if value}
        self.start(*self.worker_command(app="procrastinate_jobs.app"), **named)
        source = (
            "from procrastinate_jobs import app, generate_report\nwith app.open(): generate_report.defer(month='10')"
        )
        self.run_source(source, **named)
