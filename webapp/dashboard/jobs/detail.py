"""The page of one job: whole, as the fragments that poll for as long as its runner may have news, and its cancel.

The page includes the templates of its fragments and is fed by the same functions, so first paint and refresh cannot
drift.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from flask import Response, g, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import audit, jobs
from webapp.core.bidi import isolate
from webapp.core.errors import NotFound
from webapp.core.jobs import logs
from webapp.core.jobs.read import Children
from webapp.core.json_text import compact_json
from webapp.core.models import JobEvent, JobRun
from webapp.core.stats import durations
from webapp.dashboard import hx
from webapp.dashboard.auth import current_actor
from webapp.dashboard.fragment_cache import compute_etag
from webapp.dashboard.jobs.query import previous_list_path
from webapp.dashboard.scope import workspace
from webapp.downloads import attachment

LOG_LINES = 500
"""The newest lines of a log that a page shows."""
LOG_SIZE = 64 * 1024
"""The most bytes of text among those lines: an open page fetches them again whenever there is a new one."""
EVENTS_SHOWN = 50
"""The newest events of a history that a page shows."""
HISTORY_PAGE_SIZE = 200
"""Events on a page of the whole history."""


@workspace.get("/jobs/<uuid:job_id>")
def show_job(job_id: uuid.UUID) -> str:
    job = jobs.get_job_status(job_id, within=g.workspace.id)
    panel = _panel_context(job, jobs.list_children(job), held=())
    context = panel | _log_context(job) | _comparison_context(job)
    return render_template("jobs/job.html", back=previous_list_path(), **context)


@workspace.post("/jobs/<uuid:job_id>/cancel")
def cancel_job(job_id: uuid.UUID) -> AnyResponse:
    job = jobs.cancel_job(job_id, within=g.workspace.id, by=current_actor())
    return hx.command_answer(f"Canceled {isolate(job.type)} …{job.short_id}", url_for(".show_job", job_id=job.id))


# --- the panel ---------------------------------------------------------------------------------------------------


@workspace.get("/jobs/<uuid:job_id>/panel")
def show_job_panel(job_id: uuid.UUID) -> AnyResponse:
    job = jobs.get_job_status(job_id, within=g.workspace.id)
    children = jobs.list_children(job)
    etag = _panel_etag(job, children)
    held = hx.list_held()
    response = hx.conditional_fragment(
        etag, lambda: render_template("jobs/_panel.html", **_panel_context(job, children, held))
    )
    response.vary.add(hx.HELD)
    return response


def _panel_etag(job: JobRun, children: Children) -> str:
    return compute_etag(job.id, job.version, children.versions)


def _panel_context(job: JobRun, children: Children, held: Collection[str]) -> dict[str, Any]:
    """Load what the panel shows. What the page of the caller holds already, by the ids of its places, is left out."""
    recent = jobs.list_recent_events(job, limit=EVENTS_SHOWN)
    return {
        "job": job,
        "parent": jobs.get_parent(job),
        "children": children,
        "timeline": _with_gaps(recent.events),
        "recent_events": recent,
        "names": audit.get_names([job.created_by, job.canceled_by, *(event.by for event in recent.events)]),
        "json_places": [(place, place.id in held) for place in _json_places(job)],
        "etag": _panel_etag(job, children),
    }


@dataclass(frozen=True)
class JsonPlace:
    """A payload or a result, and the id of its place on the page, which tells this value from any other."""

    name: str
    value: dict[str, Any]
    id: str


def _json_places(job: JobRun) -> Iterator[JsonPlace]:
    if job.result is not None:
        digest = hashlib.sha256(compact_json(job.result).encode()).hexdigest()
        yield JsonPlace("result", job.result, f"result-{digest[:12]}")
    if job.payload is not None:
        # It is what it was when the job was created.
        yield JsonPlace("payload", job.payload, "payload-place")


def _with_gaps(events: Sequence[JobEvent]) -> list[tuple[JobEvent, timedelta | None]]:
    """Pair each event with the time since the one before it, where that is a second or more."""
    gaps = [after.at - before.at for before, after in pairwise(events)]
    # Of no events the gaps are one too many.
    return list(zip(events, [None, *(gap if gap >= timedelta(seconds=1) else None for gap in gaps)], strict=False))


# --- what the page shows only a part of ----------------------------------------------------------------------------


@workspace.get("/jobs/<uuid:job_id>/history")
def show_history(job_id: uuid.UUID) -> str:
    """Show a page of a long history, oldest first."""
    job = jobs.get_job_status(job_id, within=g.workspace.id)
    after = min(max(request.args.get("after", 0, type=int), 0), 2**31)
    events, has_more = jobs.list_events_after(job, after, limit=HISTORY_PAGE_SIZE)
    return render_template(
        "jobs/history.html",
        job=job,
        timeline=_with_gaps(events),
        names=audit.get_names(event.by for event in events),
        after=after,
        next_after=after + len(events) if has_more else None,
    )


@workspace.get("/jobs/<uuid:job_id>/<any(payload, result):name>.json")
def download_json(job_id: uuid.UUID, name: str) -> Response:
    """Send a payload or a result whole."""
    job = jobs.get_job_status(job_id, within=g.workspace.id)
    value = job.payload if name == "payload" else job.result
    if value is None:
        raise NotFound(f"This job has no {name}.")
    return attachment([compact_json(value)], name=f"{name}-{job.short_id}.json", mimetype="application/json")


@workspace.get("/jobs/<uuid:job_id>/log.txt")
def download_log(job_id: uuid.UUID) -> Response:
    """Send all lines that are kept of a log."""
    job = jobs.get_job_status(job_id, within=g.workspace.id)
    return attachment(logs.iterate_text(job), name=f"log-{job.short_id}.txt", mimetype="text/plain")


# --- the log -----------------------------------------------------------------------------------------------------


@workspace.get("/jobs/<uuid:job_id>/log")
def show_job_log(job_id: uuid.UUID) -> AnyResponse:
    job = jobs.get_job_status(job_id, within=g.workspace.id)
    etag = _log_etag(job)
    return hx.conditional_fragment(etag, lambda: render_template("jobs/_log.html", job=job, **_log_context(job)))


def _log_etag(job: JobRun) -> str:
    """Return an ETag that changes with the last line, and once more when no further line is waited for."""
    return compute_etag(job.id, logs.get_last_seq(job), job.awaits_news)


def _log_context(job: JobRun) -> dict[str, Any]:
    # The ETag first: a line that comes in between is shown now and fetched once more, and never missed.
    return {"log_etag": _log_etag(job), "log": logs.get_tail(job, lines=LOG_LINES, size=LOG_SIZE)}


# --- the runs of the same type -----------------------------------------------------------------------------------


def _comparison_context(job: JobRun) -> dict[str, Any]:
    """Load the runs of the same type as they stood when the page was opened: nothing here is polled."""
    usual = durations.usual_durations(g.workspace.id, [job.type], beside=job.id).get(job.type)
    slow_after = durations.slow_after(usual) if usual is not None else None
    return {"usual": usual, "slow_after": slow_after, "earlier_runs": durations.list_earlier(job)}
