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
from webapp.dashboard.fragment_cache import CachedFragment, compute_etag
from webapp.dashboard.jobs.query import NARROWING, ListQuery, parse_moment, search_place
from webapp.dashboard.scope import workspace

PAGE_SIZE = 50


@workspace.get("/jobs")
def list_jobs() -> AnyResponse | str:
    query = ListQuery.parse(request.args)
    if job_id := _searched_id(query):
        return redirect(url_for(".show_job", job_id=job_id), code=303)
    with search_place(query):
        counts = listing.count_by_status(g.workspace.id, query.filter)
        table = _table_context(query, counts)
    return render_template(
        "jobs/list.html",
        types=listing.list_types(g.workspace.id),
        creators=_creator_names(),
        etag=_table_etag(query, counts),
        disabled_webhooks=endpoints.list_disabled(g.workspace.id) if g.membership.role.can_manage else (),
        **table,
    )


def _searched_id(query: ListQuery) -> uuid.UUID | None:
    """Return the job whose whole id is searched for, if it is here, whatever else is filtered by."""
    if query.search is None or query.search.kind is not SearchKind.ID:
        return None
    return next(iter(listing.list_ids(g.workspace.id, query.search.narrow(JobFilter()), limit=1)), None)


@workspace.get("/jobs/table")
def show_job_table() -> AnyResponse:
    query = ListQuery.parse(request.args)
    with search_place(query):
        table = fragment_cache.get_or_render(query, lambda: _load_table(query))
        return hx.conditional_fragment(table.etag, table.html)


def _load_table(query: ListQuery) -> CachedFragment:
    counts = listing.count_by_status(g.workspace.id, query.filter)
    etag = _table_etag(query, counts)
    return CachedFragment(etag, lambda: render_template("jobs/_table.html", **_table_context(query, counts)))


def _table_etag(query: ListQuery, counts: Mapping[JobStatus, Count]) -> str:
    """Return an ETag that is equal only for equal tables; far cheaper than rendering one."""
    if query.searches_errors:
        # Nothing polls it, and a second search through the texts costs more than rendering the table.
        return compute_etag(uuid.uuid4())
    versions = listing.list_versions(g.workspace.id, query.filter, limit=PAGE_SIZE, **query.position)
    # The links of what failed lately change with the clock.
    look_back = query.look_back if query.status is JobStatus.FAILED else None
    return compute_etag(versions, list(counts.values()), query, query.search, look_back)


def _table_context(query: ListQuery, counts: Mapping[JobStatus, Count]) -> dict[str, Any]:
    page = listing.list_jobs(g.workspace.id, query.filter, limit=PAGE_SIZE, **query.position)
    total = sum(count.count for count in counts.values())
    cancelable = listing.restrict_to_cancelable(query.filter)
    running_types = {job.type for job in page.jobs if job.status is JobStatus.RUNNING}
    return {
        "query": query,
        "page": page,
        "usual": durations.usual_durations(g.workspace.id, running_types),
        "counts": counts,
        "total": Count(min(total, COUNT_CAP), total > COUNT_CAP or any(count.capped for count in counts.values())),
        "names": names_for(query, page.jobs),
        "filter_labels": NARROWING,
        "cancelable_count": sum(counts[status].count for status in cancelable.statuses),
        "public_url": current_app.config["PUBLIC_URL"],
    }


# --- what to call whom and what ----------------------------------------------------------------------------------


def names_for(query: ListQuery, jobs: Sequence[JobRun]) -> Mapping[str, str]:
    """Return what the page calls the creators of jobs and the values of the filters.

    An address may name anybody; only what is of this workspace has a name.
    """
    names = audit.get_names(job.created_by for job in jobs)
    if query.created_by and query.created_by not in names:
        names = {**names, query.created_by: _creator_names().get(query.created_by, "somebody who is not here")}
    if query.error_group:
        names = {**names, query.error_group: _error_name(query.error_group)}
    moments = filter(None, (query.created_after, query.created_before, query.failed_since))
    return {**names, **{text: _moment_name(moment) for text in moments if (moment := parse_moment(text))}}


def _creator_names() -> Mapping[str, str]:
    """Return who may have created a job, with their names: the members and tokens of this workspace, and the board."""
    refs = [member.user.ref for member in members.list_members(g.workspace.id)]
    return audit.get_names([*refs, *(f"token:{token.id}" for token in tokens.list_tokens(g.workspace.id)), "system"])


def _error_name(error_group: str) -> str:
    error = listing.groups_by_fingerprint(g.workspace.id, [error_group]).get(error_group)
    return f"{error[0]}: {error[1] or 'no text'}" if error else "none that is here"


def _moment_name(moment: datetime) -> str:
    """Write a moment in UTC, as the forms take it."""
    is_whole_minute = moment == moment.replace(second=0, microsecond=0)
    return moment.replace(tzinfo=None).isoformat(" ", "minutes" if is_whole_minute else "seconds") + " UTC"
