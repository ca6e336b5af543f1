"""Tasks that a worker of Procrastinate runs in the tests."""

import asyncio
import os
import time
from pathlib import Path

from callboard_client import Client, current_job
from callboard_client.integrations.procrastinate import connect
from procrastinate import App, PsycopgConnector, RetryStrategy

app = App(connector=PsycopgConnector(conninfo=os.environ["QUEUE_URL"]))
connect(app, Client(interval=0.05), heartbeat_timeout=2, tags=["queue"])


@app.task
def report(month: str, until: str) -> dict[str, str]:
    current_job().progress(40, message=month)
    while not Path(until).exists():
        time.sleep(0.01)
    return {"month": month}


@app.task
async def fail() -> None:
    raise ValueError("no such month")


attempts = 0


@app.task(retry=RetryStrategy(max_attempts=3))
async def flaky(until: str) -> int:
    global attempts
    attempts += 1
    if attempts == 1:
        raise OSError("the printer is on fire")
    current_job().progress(10)
    while not Path(until).exists():
        await asyncio.sleep(0.01)
    return attempts


@app.task(retry=5)
def endless(mark: str) -> None:
    Path(mark).touch()
    while True:
        current_job().progress(10)
        time.sleep(0.01)


@app.task(retry=5)
async def deaf(mark: str) -> None:
    Path(mark).touch()
    await asyncio.sleep(100)


@app.task(retry=2)
async def patient(mark: str, until: str) -> None:
    Path(mark).touch()
    while not Path(until).exists():
        await asyncio.sleep(0.01)


@app.task
async def once(mark: str) -> None:
    Path(mark).touch()
    await asyncio.sleep(100)
