"""The job list and the page of one job: whole pages, the fragments that poll, and the cancel buttons.

A page includes the template of its fragment and is fed by the same function, so first paint and refresh cannot drift.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from flask import current_app, g, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

import webapp
from webapp.core import audit, job_list, jobs, logs, webhooks
from webapp.core.job_list import COUNT_CAP, Count, JobFilter
from webapp.core.jobs import CancelOutcome
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobEvent, JobRun
from webapp.dashboard import hx
from webapp.dashboard.scope import workspace
from webapp.dashboard.sign_in import me

PAGE_SIZE = 50
LOG_LINES = 500
"""The newest lines of a log, which a page shows,"""
LOG_SIZE = 256 * 1024
"""and the most bytes of text among them: an open page fetches them again whenever there is a new one."""
OUTCOMES = {
    CancelOutcome.CANCELED: "canceled",
    CancelOutcome.ALREADY_CANCELED: "had been canceled before",
    CancelOutcome.FINISHED: "had finished",
    CancelOutcome.NOT_FOUND: "not found",
}


@dataclass(frozen=True)
class Asked:
    """What the address asks for: which jobs, and from where on. Values that mean nothing are left out kindly."""

    status: JobStatus | None = None
    type: str | None = None
    tag: str | None = None
    cursor: uuid.UUID | None = None

    @classmethod
    def by(cls, args: MultiDict[str, str]) -> "Asked":
        def text(name: str) -> str | None:
            value = args.get(name, "")
            return value if value and "\0" not in value else None

        status = args.get("status")
        return cls(
            status=JobStatus(status) if status in set(JobStatus) else None,
            type=text("type"),
            tag=text("tag"),
            cursor=args.get("cursor", type=uuid.UUID),
        )

    @property
    def filter(self) -> JobFilter:
        return JobFilter(statuses=(self.status,) if self.status else (), type=self.type, tag=self.tag)

    def but(self, **changes: Any) -> dict[str, Any]:
        """The query of the same view with something changed; such a view begins at its first page."""
        asked = replace(self, **({"cursor": None} | changes))
        return {name: value for name, value in vars(asked).items() if value is not None}


# --- the list ----------------------------------------------------------------------------------------------------


@workspace.get("/jobs", endpoint="job_list")
def job_list_page() -> str:
    asked = Asked.by(request.args)
    counts = job_list.counts(g.workspace.id, asked.filter)
    etag = _list_etag(asked, counts)
    types = job_list.types(g.workspace.id)
    given_up = webhooks.disabled(g.workspace.id) if g.membership.role.can_manage else ()
    return render_template("jobs/list.html", types=types, etag=etag, given_up=given_up, **_listed(asked, counts))


@workspace.get("/jobs/table")
def job_table() -> AnyResponse:
    asked = Asked.by(request.args)
    counts = job_list.counts(g.workspace.id, asked.filter)
    return hx.fresh(_list_etag(asked, counts), lambda: render_template("jobs/_table.html", **_listed(asked, counts)))


def _listed(asked: Asked, counts: Mapping[JobStatus, Count]) -> dict[str, Any]:
    page = job_list.one_page(g.workspace.id, asked.filter, limit=PAGE_SIZE, cursor=asked.cursor)
    total = sum(count.count for count in counts.values())
    return {
        "asked": asked,
        "page": page,
        "counts": counts,
        "total": Count(min(total, COUNT_CAP), total > COUNT_CAP or any(count.capped for count in counts.values())),
        "names": audit.names(job.created_by for job in page.jobs),
        "public_url": current_app.config["PUBLIC_URL"],
    }


def _list_etag(asked: Asked, counts: Mapping[JobStatus, Count]) -> str:
    """Two equal marks mean two equal tables; far cheaper than drawing one."""
    versions = job_list.versions(g.workspace.id, asked.filter, limit=PAGE_SIZE, cursor=asked.cursor)
    return _etag(versions, list(counts.values()), asked)


def _etag(*parts: object) -> str:
    whole = repr((webapp.__version__, g.membership.role, g.workspace.name, *parts))
    return hashlib.sha256(whole.encode()).hexdigest()[:24]


# --- one job -----------------------------------------------------------------------------------------------------


@workspace.get("/jobs/<uuid:job_id>")
def job(job_id: uuid.UUID) -> str:
    found = jobs.get_job_status(job_id, within=g.workspace.id)
    return render_template("jobs/job.html", back=_list_left(), **_told(found), **_logged(found))


@workspace.get("/jobs/<uuid:job_id>/panel")
def job_panel(job_id: uuid.UUID) -> AnyResponse:
    found = jobs.get_job_status(job_id, within=g.workspace.id)
    return hx.fresh(_job_etag(found), lambda: render_template("jobs/_panel.html", **_told(found)))


@workspace.get("/jobs/<uuid:job_id>/log")
def job_log(job_id: uuid.UUID) -> AnyResponse:
    found = jobs.get_job_status(job_id, within=g.workspace.id)
    return hx.fresh(_log_etag(found), lambda: render_template("jobs/_log.html", job=found, **_logged(found)))


def _log_etag(found: JobRun) -> str:
    """It changes with the last line, and once more when no further line is waited for."""
    return _etag(found.id, logs.last_seq(found), found.awaits_news)


def _logged(found: JobRun) -> dict[str, Any]:
    # The mark first: a line that comes in between is shown now and fetched once more, and never missed.
    return {"log_etag": _log_etag(found), "log": logs.tail(found, lines=LOG_LINES, size=LOG_SIZE)}


def _list_left() -> str:
    """The list as it was filtered when the person left it for this address."""
    left, plain = hx.path_of(request.referrer) or "", url_for(".job_list")
    return left if left.partition("?")[0] == plain else plain


def _job_etag(found: JobRun) -> str:
    return _etag(found.id, found.version)


def _told(found: JobRun) -> dict[str, Any]:
    events = jobs.history(found)
    return {
        "job": found,
        "timeline": _with_gaps(list(events)),
        "names": audit.names([found.created_by, found.canceled_by, *(event.by for event in events)]),
        "etag": _job_etag(found),
    }


def _with_gaps(events: list[JobEvent]) -> list[tuple[JobEvent, timedelta | None]]:
    """Each event with the time since the one before it, where that is a second or more."""
    gaps = [after.at - before.at for before, after in pairwise(events)]
    return list(zip(events, [None, *(gap if gap >= timedelta(seconds=1) else None for gap in gaps)], strict=True))


# --- cancel ------------------------------------------------------------------------------------------------------


@workspace.post("/jobs/<uuid:job_id>/cancel")
def cancel(job_id: uuid.UUID) -> AnyResponse:
    found = jobs.cancel_job(job_id, within=g.workspace.id, by=me())
    return hx.done(f"Canceled {found.type} …{found.short_id}", url_for(".job", job_id=found.id))


@workspace.post("/jobs/cancel")
def cancel_ticked() -> AnyResponse:
    ticked = request.form.getlist("job", type=uuid.UUID)
    outcomes = jobs.cancel_jobs(ticked[:PAGE_SIZE], within=g.workspace.id, by=me())
    counted = [(outcomes[outcome], words) for outcome, words in OUTCOMES.items()]
    text = ", ".join(f"{count} {words}" for count, words in counted if count) or "Nothing was ticked"
    return hx.done(text, _list_left())
