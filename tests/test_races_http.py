"""Two server processes on one database: cancel and completion meet, and one of them wins."""

from concurrent.futures import ThreadPoolExecutor

import httpx
from flask import Flask

from tests.conftest import Cast, StartServer
from webapp.core import tokens
from webapp.core.audit import SYSTEM
from webapp.core.models import Scope

ROUNDS = 60


def test_a_cancel_and_a_completion_through_two_processes_have_one_winner(
    app: Flask, cast: Cast, server: StartServer
) -> None:
    with app.app_context():
        text = tokens.create(cast.acme.id, "all", scopes=tuple(Scope), by=SYSTEM)[1]
    first, second = server(2)
    headers = {"Authorization": f"Bearer {text}"}
    with (
        httpx.Client(base_url=f"{first}/api/v1", headers=headers, timeout=20) as runner,
        httpx.Client(base_url=f"{second}/api/v1", headers=headers, timeout=20) as operator,
        ThreadPoolExecutor(2) as threads,
    ):
        for _ in range(ROUNDS):
            path = f"/jobs/{runner.post('/jobs', json={'type': 'race'}).json()['id']}"
            assert runner.patch(path, json={"status": "running"}).status_code == 200
            completion = threads.submit(runner.patch, path, json={"status": "completed"})
            cancel = threads.submit(operator.post, f"{path}/cancel")
            answers = {"completed": completion.result(), "canceled": cancel.result()}
            job = runner.get(path).json()
            winner = job["status"]
            loser = ({"completed", "canceled"} - {winner}).pop()
            assert answers[winner].status_code == 200
            assert answers[loser].status_code == 409
            assert answers[loser].json()["job"]["status"] == winner
            events = runner.get(f"{path}/events").json()["data"]
            assert [event["to"] for event in events if event["kind"] == "moved"] == ["running", winner]
