"""How values read on pages: numbers, durations, moments, JSON. What changes with the clock, the browser draws."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, g
from markupsafe import Markup, escape

from webapp.core import clock
from webapp.core.bidi import has_right_to_left, isolate
from webapp.core.jobs.listing import Count
from webapp.core.workspaces import workspaces

MAX_FOLDED_LINES = 2_000
"""Lines up to which JSON folds level by level; a page with more of them would take seconds to draw."""
MAX_JSON_LENGTH = 48 * 1024
"""Characters of JSON that a page shows: laid out, what is nested deep may be a hundred times as long as stored."""

_ESCAPES = re.compile(
    r"""
    (?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]                  # colours and moves of the cursor
    | (?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?  # titles, links, and the like
    | \x1b[ -/]*[0-~]                                 # all else
    """,
    re.VERBOSE,
)
"""What programs write for terminals (ECMA-48)."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def format_thousands(number: int) -> str:
    """Write a number with its thousands apart: ``12,345``."""
    return f"{number:,}"


def format_count(count: Count) -> str:
    """Write a number of jobs that may be more than were counted: ``10,000+``."""
    return f"{count.count:,}{'+' if count.capped else ''}"


def choose_plural(number: int, one: str, many: str | None = None) -> str:
    """Return the word for one of something, or for another number of it; ``many`` is ``one`` with an s by default."""
    return one if number == 1 else many or f"{one}s"


def format_duration(duration: timedelta) -> str:
    """Write ``240 ms``, ``3.2 s``, ``4 min 12 s``, ``1 h 02 min``, ``2 d 3 h``, as formats.js writes running ones."""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def format_seconds(seconds: int) -> str:
    """Write a number of seconds as a duration."""
    return format_duration(timedelta(seconds=seconds))


def format_exactly(seconds: int) -> str:
    """Write a duration to the second, and no longer than needed: ``90 d``, ``1 h 30 min``, ``45 s``."""
    units = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    parts = []
    for unit, size in units.items():
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts) or "0 s"


def format_iso(moment: datetime) -> str:
    """Write a moment for machines: ``2026-11-24T14:02:11.123Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_readable_json = json.JSONEncoder(ensure_ascii=False, indent=2)


def format_json(value: dict[str, Any]) -> str:
    """Lay JSON out for reading, letters as they are."""
    return _readable_json.encode(value)


def cut_json(value: dict[str, Any]) -> str | None:
    """Return the beginning of what ``format_json`` would write, if that is over ``MAX_JSON_LENGTH``, and else ``None``.

    What is left out is never written.
    """
    parts, length = [], 0
    for part in _readable_json.iterencode(value):
        parts.append(part)
        length += len(part)
        if length > MAX_JSON_LENGTH:
            return "".join(parts)[:MAX_JSON_LENGTH]
    return None


def fold_json(value: dict[str, Any]) -> Markup:
    """Lay JSON out as ``format_json`` does, so that each level of some length can be folded away."""
    text = format_json(value)
    if text.count("\n") > MAX_FOLDED_LINES:
        return escape(text)
    lines = []
    for line in text.split("\n"):
        end = line[-1:]
        if end in ("{", "["):
            lines.append(Markup("<details open><summary>{}<i>\n</i></summary>").format(line))
        elif line.lstrip(" ").rstrip(",") in ("}", "]"):
            lines.append(Markup("<div>{}\n</div></details>").format(line))
        else:
            lines.append(Markup("<div>{}\n</div>").format(line))
    return Markup("").join(lines)


def mark_bidi(name: str) -> str:
    """Put a name that is written from right to left into an element of its own, apart from its neighbours."""
    return Markup("<bdi>{}</bdi>").format(name) if has_right_to_left(name) else name


def strip_terminal_codes(text: str) -> str:
    """Return text of a program as a terminal would leave it: without colours, each line as it was last written."""
    if text.isprintable():
        return text
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
    return _CONTROLS.sub("", "\n".join(lines))


def register(app: Flask) -> None:
    """Give templates their filters, the workspaces to switch between, and the board's time."""
    app.jinja_env.filters |= {
        "thousands": format_thousands,
        "capped": format_count,
        "plural": choose_plural,
        "duration": format_duration,
        "seconds": format_seconds,
        "exact": format_exactly,
        "iso": format_iso,
        "cut_json": cut_json,
        "foldable": fold_json,
        "bdi": mark_bidi,
        "isolate": isolate,
        "plain": strip_terminal_codes,
    }

    @app.context_processor
    def provide_board_values() -> dict[str, Any]:
        # Functions, so that fragments do not pay for what they do not show.
        return {"my_workspaces": lambda: workspaces.list_memberships(g.user.id), "now": clock.now}
