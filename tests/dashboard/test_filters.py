"""How numbers read on pages."""

import pytest

from webapp.core.jobs.listing import Count
from webapp.dashboard.filters import choose_plural, format_count, format_thousands


def test_thousands_stand_apart() -> None:
    assert [format_thousands(number) for number in (0, 999, 1234, 10_000_000)] == ["0", "999", "1,234", "10,000,000"]


def test_a_count_that_was_capped_says_that_there_are_more() -> None:
    assert (format_count(Count(10_000, True)), format_count(Count(41, False))) == ("10,000+", "41")


@pytest.mark.parametrize(("number", "word"), [(0, "jobs"), (1, "job"), (2, "jobs")])
def test_the_plural_is_for_every_number_but_one(number: int, word: str) -> None:
    assert choose_plural(number, "job") == word


def test_a_plural_that_is_not_made_with_an_s_is_named() -> None:
    assert (choose_plural(1, "line is", "lines are"), choose_plural(2, "line is", "lines are")) == (
        "line is",
        "lines are",
    )
