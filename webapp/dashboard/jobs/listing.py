"""The job list: the whole page, and its fragment that polls.

The page includes the template of its fragment and is fed by the same function, so first paint and refresh cannot drift.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import audit
from webapp.core.jobs import listing
from webapp.core.jobs.listing import COUNT_CAP, Count, JobFilter
from webapp.core.jobs.search import SearchKind
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun
from webapp.core.stats import durations
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import members, tokens
from webapp.dashboard import fragment_cache, hx
from webapp.dashboard.fragment_cache import Look
from webapp.dashboard.jobs.query import NARROWING, Asked, parse_moment
from webapp.dashboard.scope import etag_of, workspace

PAGE_SIZE = 50


@workspace.get("/jobs")
def list_jobs() -> AnyResponse | str:
    asked = Asked.by(request.args)
    if asked.search and asked.search.kind is SearchKind.ID and (only := _the_one(asked)):
        return redirect(url_for(".show_job", job_id=only), code=303)
    counts = listing.count_by_status(g.workspace.id, asked.filter)
    etag = _list_etag(asked, counts)
    types = listing.list_types(g.workspace.id)
    given_up = endpoints.list_disabled(g.workspace.id) if g.membership.role.can_manage else ()
    return render_template(
        "jobs/list.html", types=types, makers=_makers(), etag=etag, given_up=given_up, **_listed(asked, counts)
    )


def _the_one(asked: Asked) -> uuid.UUID | None:
    """The job whose whole id was searched for, whatever else is filtered by."""
    found = listing.list_ids(g.workspace.id, asked.search.narrow(JobFilter()) if asked.search else JobFilter(), limit=1)
    return found[0] if found else None


def _makers() -> Mapping[str, str]:
    """Who may have created a job, with their names: the members and the tokens of this workspace, and the board."""
    refs = [member.user.ref for member in members.list_members(g.workspace.id)]
    return audit.get_names([*refs, *(f"token:{token.id}" for token in tokens.list_tokens(g.workspace.id)), "system"])


@workspace.get("/jobs/table")
def show_job_table() -> AnyResponse:
    asked = Asked.by(request.args)
    look = fragment_cache.recent(asked, lambda: _look(asked))
    return hx.fresh(look.etag, look.html)


def _look(asked: Asked) -> Look:
    counts = listing.count_by_status(g.workspace.id, asked.filter)
    return Look(_list_etag(asked, counts), lambda: render_template("jobs/_table.html", **_listed(asked, counts)))


def _listed(asked: Asked, counts: Mapping[JobStatus, Count]) -> dict[str, Any]:
    page = listing.list_jobs(g.workspace.id, asked.filter, limit=PAGE_SIZE, **asked.place)
    total = sum(count.count for count in counts.values())
    running = {job.type for job in page.jobs if job.status is JobStatus.RUNNING}
    return {
        "asked": asked,
        "page": page,
        "usual": durations.usual_durations(g.workspace.id, running),
        "counts": counts,
        "total": Count(min(total, COUNT_CAP), total > COUNT_CAP or any(count.capped for count in counts.values())),
        "names": names_for(asked, page.jobs),
        "narrowing": NARROWING,
        "live": sum(counts[status].count for status in listing.restrict_to_cancelable(asked.filter).statuses),
        "public_url": current_app.config["PUBLIC_URL"],
    }


def names_for(asked: Asked, shown: Sequence[JobRun]) -> Mapping[str, str]:
    """What to call whom and what is told of. An address may name anybody; only what is of this workspace has a name."""
    names = audit.get_names(job.created_by for job in shown)
    if asked.created_by and asked.created_by not in names:
        names = {**names, asked.created_by: _makers().get(asked.created_by, "somebody who is not here")}
    if asked.error_group:
        said = listing.groups_by_fingerprint(g.workspace.id, [asked.error_group]).get(asked.error_group)
        names = {**names, asked.error_group: f"{said[0]}: {said[1] or 'no text'}" if said else "none that is here"}
    moments = filter(None, (asked.created_after, asked.created_before, asked.failed_since))
    return {**names, **{text: _in_words(moment) for text in moments if (moment := parse_moment(text))}}


def _in_words(moment: datetime) -> str:
    """In UTC, as the forms take it."""
    whole = moment == moment.replace(second=0, microsecond=0)
    return moment.replace(tzinfo=None).isoformat(" ", "minutes" if whole else "seconds") + " UTC"


def _list_etag(asked: Asked, counts: Mapping[JobStatus, Count]) -> str:
    """Two equal marks mean two equal tables; far cheaper than drawing one."""
    if asked.searches_errors:
        # Nothing polls it, and a second search through the texts costs more than drawing the table.
        return etag_of(uuid.uuid4())
    versions = listing.list_versions(g.workspace.id, asked.filter, limit=PAGE_SIZE, **asked.place)
    return etag_of(versions, list(counts.values()), asked, asked.search)
