"""The overview of a workspace: its page, and the fragment that asks again twice a minute.

The charts are drawn by the templates; here is only what a template cannot work out: a scale on which a second and an
hour both have room.
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
from webapp.dashboard.fragment_cache import Look
from webapp.dashboard.scope import etag_of, workspace


@workspace.get("/overview")
def show_overview() -> str:
    found = overview.get_overview(g.workspace.id, _range())
    return render_template("overview/page.html", ranges=Range, etag=_overview_etag(found), **_told(found))


@workspace.get("/overview/panel")
def show_overview_panel() -> AnyResponse:
    span = _range()
    look = fragment_cache.recent(("overview", span), lambda: _look(span))
    return hx.fresh(look.etag, look.html)


def _look(span: Range) -> Look:
    found = overview.get_overview(g.workspace.id, span)
    return Look(_overview_etag(found), lambda: render_template("overview/_panel.html", **_told(found)))


def _range() -> Range:
    """What the address asks for; the last day, where it names no range that there is."""
    named = request.args.get("range", "")
    return Range(named) if named in set(Range) else Range.DAY


def _overview_etag(found: Overview) -> str:
    return etag_of(found.range, found.versions)


def _told(found: Overview) -> dict[str, Any]:
    usual = durations.usual_durations(g.workspace.id, {job.type for job in found.longest})
    quiet = not any(found.ended.values()) and not found.longest
    return {
        "found": found,
        "scale": Scale.over(found.durations.types),
        "slow_after": {type: durations.slow_after(span) for type, span in usual.items()},
        "no_jobs": quiet and not listing.list_types(g.workspace.id),
        "public_url": current_app.config["PUBLIC_URL"],
    }


_ROUND = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 864000, 8640000]
_MARKS = [timedelta(seconds=seconds) for seconds in _ROUND]


@dataclass(frozen=True)
class Scale:
    """A logarithmic scale from 0 to 1, between two durations that are round."""

    marks: Sequence[timedelta]

    @classmethod
    def over(cls, types: Sequence[Duration]) -> "Scale":
        """The shortest scale on which all have room."""
        shortest = min((each.median for each in types), default=_MARKS[0])
        longest = max((each.p95 for each in types), default=_MARKS[0])
        below = [number for number, mark in enumerate(_MARKS) if mark <= shortest]
        above = [number for number, mark in enumerate(_MARKS) if mark >= longest]
        first, last = max(below, default=0), min(above, default=len(_MARKS) - 1)
        return cls(_MARKS[first : max(last, first + 1) + 1])

    def __call__(self, span: timedelta) -> float:
        """Where a duration stands."""
        low, high, at = (
            math.log(max(each, _MARKS[0]).total_seconds()) for each in (self.marks[0], self.marks[-1], span)
        )
        return min(max((at - low) / (high - low), 0), 1)
