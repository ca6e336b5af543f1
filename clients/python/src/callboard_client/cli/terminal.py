"""Write text for a terminal: tables, bars and times, without control characters of others."""

import logging
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TextIO

BAR_WIDTH = 12
"""Characters of a bar of progress."""
MIN_COLUMN_WIDTH = 7
"""Columns of the terminal that are left of a text that has no room."""
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_CONTROL = re.compile(f"[{_CONTROLS}]+")
_COLOR_OR_CONTROL = re.compile(rf"\x1b\[\d{{1,2}}m|[{_CONTROLS}]")
_COLORS = {"pending": "33", "running": "36", "completed": "32", "failed": "31", "canceled": "90"}


def clean(text: str | None) -> str:
    """Return the text in one line. What runners report may hold control characters, and these may hold anything."""
    return _CONTROL.sub(" ", text or "").strip()


def print_lines(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines, to standard output unless told otherwise, with no control character in them but those of colors."""
    # A board is not to be trusted with a terminal either: whatever it sent may be in any of them.
    out = stream or sys.stdout
    out.write("".join(f"{_COLOR_OR_CONTROL.sub(_keep_color, line)}\n" for line in lines))
    out.flush()


def _keep_color(match: re.Match[str]) -> str:
    return match[0] if len(match[0]) > 1 else " "


class CleanFormatter(logging.Formatter):
    """Formats a line of the log without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return "\n".join(clean(line) for line in super().format(record).split("\n"))


def colored(text: str, status: str) -> str:
    """Return the text in the color of a status."""
    return f"\x1b[{_COLORS.get(status.strip(), '0')}m{text}\x1b[0m"


def bar(percent: int) -> str:
    """Return a bar of progress with its number."""
    full = round(percent * BAR_WIDTH / 100)
    return f"{'█' * full}{'░' * (BAR_WIDTH - full)} {percent:>3} %"


def ago(moment: datetime | None) -> str:
    """Return how long ago it was: ``4 s``, ``12 min``, ``3 h``, ``2 d``; empty for ``None``."""
    if moment is None:
        return ""
    seconds = max(0, int((datetime.now(timezone.utc) - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def columns() -> int:
    """Return how wide the terminal is."""
    return shutil.get_terminal_size().columns


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, long: Sequence[int], status_at: int | None = None
) -> list[str]:
    """Return the lines of a table. Where the terminal is narrower, what is widest of the ``long`` columns is cut."""
    widths = [max(_width(row[number]) for row in (head, *rows)) for number in range(len(head))]
    room = columns() - 2 * (len(head) - 1)
    while sum(widths) > room and widths[widest := max(long, key=widths.__getitem__)] > MIN_COLUMN_WIDTH:
        widths[widest] -= 1
    lines = []
    for row in (head, *rows):
        cells = [_pad(cell, size) for cell, size in zip(row, widths, strict=True)]
        if status_at is not None and row is not head:
            cells[status_at] = colored(cells[status_at], row[status_at])
        lines.append("  ".join(cells).rstrip())
    return lines


def cut(text: str, width: int) -> str:
    """Return the text, or its beginning with an ellipsis, so that it takes that many columns at most."""
    if _width(text) <= width:
        return text
    while text and _width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _pad(text: str, width: int) -> str:
    shown = cut(text, width)
    return shown + " " * (width - _width(shown))


def _width(text: str) -> int:
    """Count the columns that the text takes: letters of East Asia take two, marks upon letters none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)
