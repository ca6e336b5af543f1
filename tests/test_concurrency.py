"""A dear kind of request leaves threads for all others: so many at once, one of each caller."""

import threading

import pytest

from tests.support.waiting import wait_until
from webapp.concurrency import ConcurrencyLimit
from webapp.core.errors import TooManyRequests


def test_one_of_each_caller_and_so_many_in_all_are_worked_on_at_once() -> None:
    limit = ConcurrencyLimit(2, "Others are at work.", retry_after=7)
    with limit.hold("ana"):
        with pytest.raises(TooManyRequests, match=r"Others are at work\.") as refused, limit.hold("ana"):
            pass
        assert refused.value.retry_after == 7
        with limit.hold("ben"), pytest.raises(TooManyRequests), limit.hold("cleo"):
            pass
        with limit.hold("cleo"):
            pass
    with limit.hold("ana"), limit.hold("ben"):
        pass


def test_a_place_is_free_again_after_an_error() -> None:
    limit = ConcurrencyLimit(1, "Others are at work.")
    with pytest.raises(ZeroDivisionError), limit.hold("ana"):
        raise ZeroDivisionError
    with limit.hold("ana"):
        pass


def test_whoever_may_wait_has_the_next_place_and_only_one_of_each_caller_waits() -> None:
    limit = ConcurrencyLimit(1, "Others are at work.", patience=10)
    order = []

    def work(caller: str) -> None:
        with limit.hold(caller):
            order.append(caller)

    waiting = threading.Thread(target=work, args=("ana",))
    with limit.hold("ana"):
        waiting.start()
        wait_until(lambda: limit._waiting == {"ana"})
        for caller in ("ana", "ben"):
            with pytest.raises(TooManyRequests), limit.hold(caller):
                pass
        assert order == []
    waiting.join(10)
    assert order == ["ana"]


def test_whoever_waits_is_sent_away_in_the_end() -> None:
    limit = ConcurrencyLimit(1, "Others are at work.", patience=0.01)
    with limit.hold("ana"), pytest.raises(TooManyRequests), limit.hold("ben"):
        pass
    with limit.hold("ben"):
        pass


def test_many_callers_at_once_never_hold_more_places_than_there_are() -> None:
    limit = ConcurrencyLimit(3, "Others are at work.", patience=5)
    lock, together, most = threading.Lock(), 0, 0
    begin = threading.Barrier(24)

    def work(number: int) -> None:
        nonlocal together, most
        begin.wait(10)
        for _ in range(50):
            try:
                with limit.hold(number % 8):
                    with lock:
                        together += 1
                        most = max(most, together)
                    with lock:
                        together -= 1
            except TooManyRequests:
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (together, most <= 3, most >= 1) == (0, True, True)
