"""The overview of a workspace: its page, and the fragment that asks again twice a minute.

The templates draw the charts. What a template cannot work out is here: a scale on which a second and an hour both have
room.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import current_app, g, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from webapp.core.jobs import listing
from webapp.core.stats import durations, overview
from webapp.core.stats.overview import Duration, Overview, Range
from webapp.dashboard import fragment_cache, hx
from webapp.dashboard.fragment_cache import CachedFragment, compute_etag
from webapp.dashboard.scope import workspace


@workspace.get("/overview")
def show_overview() -> str:
    numbers = overview.get_overview(g.workspace.id, _requested_range())
    return render_template("overview/page.html", ranges=Range, etag=_etag(numbers), **_panel_context(numbers))


@workspace.get("/overview/panel")
def show_overview_panel() -> AnyResponse:
    requested = _requested_range()
    panel = fragment_cache.get_or_render(("overview", requested), lambda: _load_panel(requested))
    return hx.conditional_fragment(panel.etag, panel.html)


def _requested_range() -> Range:
    """Return the range that the address names; the last day, where it names none that there is."""
    name = request.args.get("range", "")
    return Range(name) if name in set(Range) else Range.DAY


def _load_panel(requested: Range) -> CachedFragment:
    numbers = overview.get_overview(g.workspace.id, requested)
    return CachedFragment(_etag(numbers), lambda: render_template("overview/_panel.html", **_panel_context(numbers)))


def _etag(numbers: Overview) -> str:
    return compute_etag(numbers.range, numbers.versions)


_ROUND_SECONDS = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 864000, 8640000]
_MARKS = [timedelta(seconds=seconds) for seconds in _ROUND_SECONDS]


@dataclass(frozen=True)
class Scale:
    """A logarithmic scale from 0 to 1, between two durations that are round."""

    marks: Sequence[timedelta]

    @classmethod
    def spanning(cls, types: Sequence[Duration]) -> "Scale":
        """Return the shortest scale on which all types have room."""
        shortest = min((each.median for each in types), default=_MARKS[0])
        longest = max((each.p95 for each in types), default=_MARKS[0])
        below = [number for number, mark in enumerate(_MARKS) if mark <= shortest]
        above = [number for number, mark in enumerate(_MARKS) if mark >= longest]
        first, last = max(below, default=0), min(above, default=len(_MARKS) - 1)
        return cls(_MARKS[first : max(last, first + 1) + 1])

    def __call__(self, span: timedelta) -> float:
        """Return where a duration stands, from 0 to 1."""
        low, high, value = (
            math.log(max(each, _MARKS[0]).total_seconds()) for each in (self.marks[0], self.marks[-1], span)
        )
        return min(max((value - low) / (high - low), 0), 1)


def _panel_context(numbers: Overview) -> dict[str, Any]:
    usual = durations.usual_durations(g.workspace.id, {job.type for job in numbers.longest})
    is_quiet = not any(numbers.ended.values()) and not numbers.longest
    return {
        "overview": numbers,
        "scale": Scale.spanning(numbers.durations.types),
        "slow_after": {type: durations.slow_after(span) for type, span in usual.items()},
        "no_jobs": is_quiet and not listing.list_types(g.workspace.id),
        "public_url": current_app.config["PUBLIC_URL"],
    }
