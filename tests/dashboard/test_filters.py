"""How numbers read on pages."""

import pytest

from webapp.core.jobs.listing import Count
from webapp.dashboard.filters import choose_plural, format_count, format_thousands, strip_terminal_codes


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


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("\x1b[1;31mERROR\x1b[0m done", "ERROR done"),
        ("\x1b[38;5;196mred\x1b[m\x1b[K", "red"),
        ("\x9b31mred\x9b0m", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(B\x1b=x\x1b", "x"),
        (" 10 %\r 50 %\r100 %", "100 %"),
        ("100 %\r", "100 %"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("a\tb\n  c", "a\tb\n  c"),
        ("bell\x07 back\x08 null\x00 del\x7f next\x85", "bell back null del next"),
        ("Zürich 工場 تقرير 👩‍👩‍👧", "Zürich 工場 تقرير 👩‍👩‍👧"),
    ],
)
def test_what_programs_write_for_terminals_reads_as_text(raw: str, plain: str) -> None:
    assert strip_terminal_codes(raw) == plain


def test_an_endless_sequence_takes_no_longer_than_its_text() -> None:
    assert strip_terminal_codes("\x1b[" + "0;" * 100_000) == "0;" * 100_000
    assert strip_terminal_codes("\x1b]" * 50_000 + "\n") == "\n"
