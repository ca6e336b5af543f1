"""How values read: durations, moments, JSON. Nothing here changes with the clock; the browser does what does."""

import json
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, g
from markupsafe import Markup, escape

from webapp.core import clock
from webapp.core.workspaces import workspaces


def duration(span: timedelta) -> str:
    """``240 ms``, ``3.2 s``, ``4 min 12 s``, ``1 h 02 min``, ``2 d 3 h``; formats.js writes running ones alike."""
    seconds = span.total_seconds()
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


def seconds(count: int) -> str:
    """A number of seconds as a duration."""
    return duration(timedelta(seconds=count))


def exact(count: int) -> str:
    """A number of seconds to the second, and no longer than needed: ``90 d``, ``1 h 30 min``, ``45 s``."""
    units = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    words = []
    for unit, size in units.items():
        whole, count = divmod(count, size)
        if whole:
            words.append(f"{whole} {unit}")
    return " ".join(words) or "0 s"


def iso(moment: datetime) -> str:
    """For machines: ``2026-11-24T14:02:11.123Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def readable(value: dict[str, Any]) -> str:
    """JSON laid out for reading, letters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=2)


FOLDED = 2_000
"""Lines up to which JSON folds level by level; more of them are one text, or a page would take seconds to draw."""


def foldable(value: dict[str, Any]) -> Markup:
    """The same text as ``readable``, in which each level of some length can be folded away."""
    text = readable(value)
    if text.count("\n") > FOLDED:
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


def register(app: Flask) -> None:
    app.jinja_env.filters |= {
        "duration": duration,
        "seconds": seconds,
        "exact": exact,
        "iso": iso,
        "foldable": foldable,
    }

    @app.context_processor
    def switcher() -> dict[str, Any]:
        """The workspaces to switch between, and the board's time; functions, so that fragments do not pay for them."""
        return {"my_workspaces": lambda: workspaces.of_user(g.user.id), "now": clock.now}
