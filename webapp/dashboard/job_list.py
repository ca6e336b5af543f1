"""The job list: the whole page, its fragment that polls, and what is done to several jobs at once.

The page includes the template of its fragment and is fed by the same function, so first paint and refresh cannot drift.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import current_app, g, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import audit, durations, job_list, jobs, webhooks
from webapp.core.job_list import COUNT_CAP, Count, JobFilter
from webapp.core.jobs import CancelOutcome
from webapp.core.lifecycle import JobStatus
from webapp.dashboard import hx
from webapp.dashboard.scope import etag_of, workspace
from webapp.dashboard.sign_in import me

PAGE_SIZE = 50
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
    running = {job.type for job in page.jobs if job.status is JobStatus.RUNNING}
    return {
        "asked": asked,
        "page": page,
        "usual": durations.usual(g.workspace.id, running),
        "counts": counts,
        "total": Count(min(total, COUNT_CAP), total > COUNT_CAP or any(count.capped for count in counts.values())),
        "names": audit.names(job.created_by for job in page.jobs),
        "public_url": current_app.config["PUBLIC_URL"],
    }


def _list_etag(asked: Asked, counts: Mapping[JobStatus, Count]) -> str:
    """Two equal marks mean two equal tables; far cheaper than drawing one."""
    versions = job_list.versions(g.workspace.id, asked.filter, limit=PAGE_SIZE, cursor=asked.cursor)
    return etag_of(versions, list(counts.values()), asked)


def list_left() -> str:
    """The list as it was filtered when the person left it for this address."""
    left, plain = hx.path_of(request.referrer) or "", url_for(".job_list")
    return left if left.partition("?")[0] == plain else plain


# --- several at once ---------------------------------------------------------------------------------------------


@workspace.post("/jobs/cancel")
def cancel_ticked() -> AnyResponse:
    ticked = request.form.getlist("job", type=uuid.UUID)
    outcomes = jobs.cancel_jobs(ticked[:PAGE_SIZE], within=g.workspace.id, by=me())
    counted = [(outcomes[outcome], words) for outcome, words in OUTCOMES.items()]
    text = ", ".join(f"{count} {words}" for count, words in counted if count) or "Nothing was ticked"
    return hx.done(text, list_left())
