"""The page of one job: whole, as the fragments that poll for as long as its runner may have news, and its cancel.

The page includes the templates of its fragments and is fed by the same functions, so first paint and refresh cannot
drift.
"""

import uuid
from datetime import timedelta
from itertools import pairwise
from typing import Any

from flask import g, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import audit, jobs
from webapp.core.bidi import isolate
from webapp.core.jobs import logs
from webapp.core.jobs.read import Children
from webapp.core.models import JobEvent, JobRun
from webapp.core.stats import durations
from webapp.dashboard import hx
from webapp.dashboard.auth import current_actor
from webapp.dashboard.fragment_cache import compute_etag
from webapp.dashboard.jobs.query import previous_list_path
from webapp.dashboard.scope import workspace

LOG_LINES = 500
"""The newest lines of a log that a page shows."""
LOG_SIZE = 256 * 1024
"""The most bytes of text among those lines: an open page fetches them again whenever there is a new one."""


@workspace.get("/jobs/<uuid:job_id>")
def show_job(job_id: uuid.UUID) -> str:
    job = jobs.get_job_status(job_id, within=g.workspace.id)
    panel = _panel_context(job, jobs.list_children(job))
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
    return hx.conditional_fragment(etag, lambda: render_template("jobs/_panel.html", **_panel_context(job, children)))


def _panel_etag(job: JobRun, children: Children) -> str:
    return compute_etag(job.id, job.version, children.versions)


def _panel_context(job: JobRun, children: Children) -> dict[str, Any]:
    events = jobs.list_events(job)
    return {
        "job": job,
        "parent": jobs.get_parent(job),
        "children": children,
        "timeline": _with_gaps(list(events)),
        "names": audit.get_names([job.created_by, job.canceled_by, *(event.by for event in events)]),
        "etag": _panel_etag(job, children),
    }


def _with_gaps(events: list[JobEvent]) -> list[tuple[JobEvent, timedelta | None]]:
    """Pair each event with the time since the one before it, where that is a second or more."""
    gaps = [after.at - before.at for before, after in pairwise(events)]
    return list(zip(events, [None, *(gap if gap >= timedelta(seconds=1) else None for gap in gaps)], strict=True))


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
