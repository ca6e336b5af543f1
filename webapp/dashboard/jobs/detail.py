"""The page of one job: whole, and the fragments that poll for as long as its runner may have news; and its cancel.

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
from webapp.core.jobs import logs
from webapp.core.jobs.read import Children
from webapp.core.models import JobEvent, JobRun
from webapp.core.stats import durations
from webapp.dashboard import hx
from webapp.dashboard.auth import me
from webapp.dashboard.jobs.query import list_left
from webapp.dashboard.scope import etag_of, workspace

LOG_LINES = 500
"""The newest lines of a log, which a page shows,"""
LOG_SIZE = 256 * 1024
"""and the most bytes of text among them: an open page fetches them again whenever there is a new one."""


@workspace.get("/jobs/<uuid:job_id>")
def show_job(job_id: uuid.UUID) -> str:
    found = jobs.get_job_status(job_id, within=g.workspace.id)
    told = _told(found, jobs.list_children(found))
    return render_template("jobs/job.html", back=list_left(), **told, **_logged(found), **_compared(found))


@workspace.get("/jobs/<uuid:job_id>/panel")
def show_job_panel(job_id: uuid.UUID) -> AnyResponse:
    found = jobs.get_job_status(job_id, within=g.workspace.id)
    children = jobs.list_children(found)
    return hx.fresh(_job_etag(found, children), lambda: render_template("jobs/_panel.html", **_told(found, children)))


@workspace.get("/jobs/<uuid:job_id>/log")
def show_job_log(job_id: uuid.UUID) -> AnyResponse:
    found = jobs.get_job_status(job_id, within=g.workspace.id)
    return hx.fresh(_log_etag(found), lambda: render_template("jobs/_log.html", job=found, **_logged(found)))


def _log_etag(found: JobRun) -> str:
    """It changes with the last line, and once more when no further line is waited for."""
    return etag_of(found.id, logs.get_last_seq(found), found.awaits_news)


def _logged(found: JobRun) -> dict[str, Any]:
    # The mark first: a line that comes in between is shown now and fetched once more, and never missed.
    return {"log_etag": _log_etag(found), "log": logs.get_tail(found, lines=LOG_LINES, size=LOG_SIZE)}


def _compared(found: JobRun) -> dict[str, Any]:
    """The runs of the same type beside it, as they stood when the page was opened: nothing here is polled."""
    usual = durations.usual_durations(g.workspace.id, [found.type], beside=found.id).get(found.type)
    slow_after = durations.slow_after(usual) if usual is not None else None
    return {"usual": usual, "slow_after": slow_after, "earlier": durations.list_earlier(found)}


def _job_etag(found: JobRun, children: Children) -> str:
    return etag_of(found.id, found.version, children.versions)


def _told(found: JobRun, children: Children) -> dict[str, Any]:
    events = jobs.list_events(found)
    return {
        "job": found,
        "parent": jobs.get_parent(found),
        "children": children,
        "timeline": _with_gaps(list(events)),
        "names": audit.get_names([found.created_by, found.canceled_by, *(event.by for event in events)]),
        "etag": _job_etag(found, children),
    }


def _with_gaps(events: list[JobEvent]) -> list[tuple[JobEvent, timedelta | None]]:
    """Each event with the time since the one before it, where that is a second or more."""
    gaps = [after.at - before.at for before, after in pairwise(events)]
    return list(zip(events, [None, *(gap if gap >= timedelta(seconds=1) else None for gap in gaps)], strict=True))


@workspace.post("/jobs/<uuid:job_id>/cancel")
def cancel_job(job_id: uuid.UUID) -> AnyResponse:
    found = jobs.cancel_job(job_id, within=g.workspace.id, by=me())
    return hx.done(f"Canceled {found.type} …{found.short_id}", url_for(".show_job", job_id=found.id))
