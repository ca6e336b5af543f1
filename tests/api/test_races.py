"""Two server processes on one database: cancel and completion meet, and one of them wins."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from flask import Flask

from tests.support.people import Cast
from tests.support.servers import StartServer
from webapp.core.audit import SYSTEM
from webapp.core.models import Scope
from webapp.core.workspaces import tokens

ROUNDS = 60
HEAD_STARTS = (0.0, 0.0, 0.001, 0.002, 0.004, 0.02)
"""Seconds; the last is longer than a request takes, so that neither side wins them all."""


def test_a_cancel_and_a_completion_through_two_processes_have_one_winner(
    app: Flask, cast: Cast, server: StartServer
) -> None:
    with app.app_context():
        text = tokens.create_unchecked(cast.acme.id, "all", scopes=tuple(Scope), by=SYSTEM)[1]
    first, second = server(2)
    headers = {"Authorization": f"Bearer {text}"}
    with (
        httpx.Client(base_url=f"{first}/api/v1", headers=headers, timeout=20) as runner,
        httpx.Client(base_url=f"{second}/api/v1", headers=headers, timeout=20) as operator,
        ThreadPoolExecutor(2) as threads,
    ):
        won = {"completed": 0, "canceled": 0}
        for number in range(ROUNDS):
            path = f"/jobs/{runner.post('/jobs', json={'type': 'race'}).json()['id']}"
            assert runner.patch(path, json={"status": "running"}).status_code == 200
            acts = {
                "completed": lambda path=path: runner.patch(path, json={"status": "completed"}),
                "canceled": lambda path=path: operator.post(f"{path}/cancel"),
            }
            # Each side begins every other round, the other one at once or a little later: somewhere they meet.
            first_act, second_act = sorted(acts) if number % 2 else sorted(acts)[::-1]
            begun = {first_act: threads.submit(acts[first_act])}
            time.sleep(HEAD_STARTS[number // 2 % len(HEAD_STARTS)])
            begun[second_act] = threads.submit(acts[second_act])
            answers = {name: future.result() for name, future in begun.items()}
            winner = runner.get(path).json()["status"]
            won[winner] += 1
            loser = ({"completed", "canceled"} - {winner}).pop()
            assert answers[winner].status_code == 200
            assert answers[loser].status_code == 409
            assert answers[loser].json()["job"]["status"] == winner
            events = runner.get(f"{path}/events").json()["data"]
            assert [event["to"] for event in events if event["kind"] == "moved"] == ["running", winner]
    assert min(won.values()) >= 1, won
