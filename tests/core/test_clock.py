"""The one clock of a board: what another clock shows is taken over as exactly as the answer allows, and no more."""

import time

import pytest

from webapp.core import clock


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the process stands still, however busy the machine is."""
    monkeypatch.setattr(clock, "_ahead", 0.0)
    monkeypatch.setattr(time, "time", lambda: 1_795_498_202.0)


def offset() -> float:
    return clock.now().timestamp() - time.time()


@pytest.mark.parametrize("ahead", [600, 2, 0.5, 0.05, -0.05, -600])
def test_now_is_what_the_other_clock_shows(ahead: float) -> None:
    clock.adjust(1000 + ahead, 1000, 1000.001)
    assert offset() == pytest.approx(ahead, abs=0.01)


def test_a_clock_that_agrees_within_the_time_of_the_answer_changes_nothing() -> None:
    for length in (0.001, 0.2, 20):
        assert clock.adjust(1000 + length / 2, 1000, 1000 + length) == 0


def test_a_slow_answer_does_not_move_what_a_quick_one_told() -> None:
    clock.adjust(1600, 1000, 1000.002)
    before = offset()
    clock.adjust(1660 + 0.1, 1060, 1080)
    assert offset() == pytest.approx(before, abs=0.001)


def test_a_clock_that_is_set_again_is_followed_there_and_back() -> None:
    clock.adjust(1600, 1000, 1000.001)
    clock.adjust(1060, 1060, 1060.001)
    assert offset() == pytest.approx(0, abs=0.01)
