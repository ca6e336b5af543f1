"""How many requests a token may make: the bucket, what the API answers, and several processes together."""

import multiprocessing
import uuid
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clock import Clock
from webapp.rate_limit import RateLimit, RateLimiter

TOKEN = uuid.UUID("0193a000-0000-7000-8000-000000000001")
OTHER = uuid.UUID("0193a000-0000-7000-8000-000000000002")


@pytest.mark.parametrize(
    ("text", "limit"),
    [("50/s", RateLimit(50, 1)), ("600/min", RateLimit(600, 60)), ("1/h", RateLimit(1, 3600)), ("off", None)],
)
def test_a_limit_is_read_as_it_is_written(text: str, limit: RateLimit | None) -> None:
    assert RateLimit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "50", "0/s", "-1/s", "50/day", "1.5/s", "50 / s", "50/s ", "٥/s", "9999999999/s"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        RateLimit.parse(text)


def test_a_token_may_make_so_many_requests_at_once_and_then_as_they_come_back(clock: Clock) -> None:
    limiter = RateLimiter(RateLimit(4, 1))
    assert [limiter.take(TOKEN).remaining for _ in range(4)] == [3, 2, 1, 0]
    refused = limiter.take(TOKEN)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert (refused.retry_after, refused.reset_after) == pytest.approx((0.25, 1), abs=1e-5)
    clock.advance(seconds=0.25)
    assert [limiter.take(TOKEN).allowed for _ in range(2)] == [True, False]
    clock.advance(seconds=60)
    assert [limiter.take(TOKEN).allowed for _ in range(5)] == [True, True, True, True, False]


def test_what_is_refused_costs_nothing(clock: Clock) -> None:
    limiter = RateLimiter(RateLimit(1, 1))
    assert [limiter.take(TOKEN).allowed for _ in range(100)].count(True) == 1
    clock.advance(seconds=1)
    assert limiter.take(TOKEN).allowed


def test_one_token_takes_nothing_of_another(clock: Clock) -> None:
    limiter = RateLimiter(RateLimit(1, 1))
    assert [limiter.take(token).allowed for token in (TOKEN, OTHER, TOKEN, OTHER)] == [True, True, False, False]


def test_many_tokens_are_each_counted_by_themselves(clock: Clock) -> None:
    limiter = RateLimiter(RateLimit(1, 3600))
    tokens = [uuid.uuid4() for _ in range(5000)]
    assert all(limiter.take(token).allowed for token in tokens)
    assert not any(limiter.take(token).allowed for token in tokens)


def test_a_clock_that_is_set_back_locks_nobody_out(clock: Clock) -> None:
    limiter = RateLimiter(RateLimit(1, 1))
    limiter.take(TOKEN)
    clock.advance(hours=-1)
    assert [limiter.take(TOKEN).allowed for _ in range(2)] == [True, False]


def test_of_many_threads_only_so_many_requests_are_let_through(clock: Clock) -> None:
    limiter = RateLimiter(RateLimit(50, 1))
    with ThreadPoolExecutor(8) as threads:
        allowances = list(threads.map(lambda _: limiter.take(TOKEN), range(200)))
    assert sum(allowance.allowed for allowance in allowances) == 50


def count_allowed(path: Path) -> int:
    limiter = RateLimiter(RateLimit(1000, 3600), path)
    return sum(limiter.take(TOKEN).allowed for _ in range(1000))


def test_processes_that_share_a_file_share_the_limit(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        allowed = sum(processes.map(count_allowed, [tmp_path / "buckets"] * 4))
    # Two of them may read before either writes; what comes back in the few seconds of the test is allowed as well.
    assert 1000 <= allowed <= 1500


# --- the API -----------------------------------------------------------------------------------------------------


class TestOfTheApi:
    @pytest.fixture
    def settings(self) -> Mapping[str, str]:
        return {"RATE_LIMIT": "3/min"}

    def test_a_token_over_its_limit_is_told_when_to_come_again(
        self, client: FlaskClient, token: str, other_token: str, clock: Clock
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        answers = [client.get("/api/v1/jobs/counts", headers=headers) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert [answer.headers["RateLimit-Limit"] for answer in answers] == ["3"] * 4
        assert [answer.headers["RateLimit-Reset"] for answer in answers] == ["20", "40", "60", "60"]
        assert answers[-1].headers["Retry-After"] == "20"
        problem = answers[-1].get_json()
        assert problem["code"] == "too_many_requests"
        assert problem["detail"] == "A token may make 3/min requests on this board."
        other = client.get("/api/v1/jobs/counts", headers={"Authorization": f"Bearer {other_token}"})
        assert other.status_code == 200
        clock.advance(seconds=20)
        assert client.get("/api/v1/jobs/counts", headers=headers).status_code == 200

    def test_whoever_has_no_token_takes_nothing_of_one(self, client: FlaskClient, token: str) -> None:
        wrong = {"Authorization": f"Bearer {token[:-1]}x"}
        for _ in range(5):
            assert client.get("/api/v1/jobs/counts", headers=wrong).status_code == 401
            assert client.get("/api/v1/openapi.json").status_code == 200
        answer = client.get("/api/v1/jobs/counts", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.headers["RateLimit-Remaining"]) == (200, "2")


def test_without_a_limit_nothing_is_counted_and_nothing_said(app: Flask, client: FlaskClient, token: str) -> None:
    answers = [client.get("/api/v1/jobs/counts", headers={"Authorization": f"Bearer {token}"}) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any(name.startswith("RateLimit") for answer in answers for name, _ in answer.headers)
    assert app.extensions["rate_limiter"] is None
