"""Parts the rows of a page from the one that shows that another page follows."""

from collections.abc import Callable, Sequence
from typing import TypeVar

_Row = TypeVar("_Row")


def split_page(rows: Sequence[_Row], limit: int) -> tuple[Sequence[_Row], bool]:
    """Return the first ``limit`` rows, and whether there were more: read with a limit of one more than the page."""
    return rows[:limit], len(rows) > limit


def fit_page(rows: Sequence[_Row], size_of: Callable[[_Row], int], max_size: int) -> Sequence[_Row]:
    """Return the first rows that are of ``max_size`` bytes together, but one in any case."""
    size = 0
    for number, row in enumerate(rows):
        size += size_of(row)
        if size > max_size:
            return rows[: max(number, 1)]
    return rows
