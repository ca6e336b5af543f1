"""Parts the rows of a page from the one that shows that another page follows."""

from collections.abc import Sequence
from typing import TypeVar

_Row = TypeVar("_Row")


def split_page(rows: Sequence[_Row], limit: int) -> tuple[Sequence[_Row], bool]:
    """Return the first ``limit`` rows, and whether there were more: read with a limit of one more than the page."""
    return rows[:limit], len(rows) > limit
