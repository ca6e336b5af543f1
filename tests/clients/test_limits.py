"""What the client does when the board says 429: too many requests, or more than a workspace may send in a day."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from callboard_client import BoardRefused, BoardUnreachable, Client
from flask import Flask

from tests.support.operator import Operator
from tests.support.people import Cast
from tests.support.servers import board
from tests.support.waiting import wait_until
from webapp.core.audit import SYSTEM
from webapp.core.limits import limits
from webapp.core.limits.limits import of_workspace


@pytest.fixture
def _nothing_a_day(app: Flask, cast: Cast) -> None:
    """Let acme send neither payloads nor log lines."""
    with app.app_context():
        for limit in (limits.PAYLOAD_SIZE, limits.LOG_SIZE):
            limits.set_limit(of_workspace(cast.acme.id), limit.name, 0, by=SYSTEM)


@pytest.mark.usefixtures("_nothing_a_day")
def test_a_job_over_the_limit_of_a_day_is_reported_without_what_is_over_it(
    runner: Client, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    with runner.job("import", payload={"file": "a.csv"}) as job:
        job.log("reading")
        job.progress(50)
    wait_until(lambda: [row["status"] for row in operator.jobs] == ["completed"])
    assert operator.job(operator.jobs[0]["id"])["payload"] is None
    assert operator.log(operator.jobs[0]["id"]) == []
    assert "This workspace may send 0 MiB of payloads and results a day." in caplog.text
    assert "unavailable" not in caplog.text


@pytest.mark.usefixtures("_nothing_a_day")
def test_a_verb_over_the_limit_of_a_day_is_refused_at_once(runner: Client) -> None:
    with pytest.raises(BoardRefused) as refused:
        runner.enqueue_job("import", payload={"file": "a.csv"})
    assert (refused.value.status, refused.value.code) == (429, "daily_limit")


@pytest.fixture
def slow_board(url: str, tmp_path: Path) -> Iterator[str]:
    """A board on which a token may make four requests a second."""
    with board(url, tmp_path, environ={"RATE_LIMIT": "4/s"}) as address:
        yield address


def test_a_client_waits_as_long_as_it_is_asked_to_and_misses_nothing(
    slow_board: str, token: str, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(slow_board, token, interval=0.05) as client:
        for number in range(6):
            with client.job(f"job {number}") as job:
                job.result = {"n": number}
    wait_until(lambda: [row["status"] for row in operator.jobs] == ["completed"] * 6, 20)
    assert "A token may make 4/s requests on this board." in caplog.text


def test_a_verb_is_tried_again_when_the_board_asks_for_it(slow_board: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    while httpx.get(f"{slow_board}/api/v1/jobs/counts", headers=headers).status_code == 200:
        pass
    try:
        with Client(slow_board, token) as client:
            assert client.count_jobs()
    except BoardUnreachable as error:  # pragma: no cover
        pytest.fail(f"It was not tried again: {error}")
