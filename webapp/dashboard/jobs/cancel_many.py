"""Cancel many jobs at once: those that are ticked, or all that match; after a question, and with a count at the end.

With scripts the list itself asks before it cancels what is ticked; without them, and for all that match, a page does.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flask import g, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import jobs
from webapp.core.bidi import isolate
from webapp.core.jobs import CancelOutcome, listing
from webapp.core.jobs.listing import FIRST_ID, LAST_ID, Count, JobFilter
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun
from webapp.dashboard import hx
from webapp.dashboard.auth import current_actor
from webapp.dashboard.jobs.listing import PAGE_SIZE, names_for
from webapp.dashboard.jobs.query import (
    NARROWING,
    ListQuery,
    has_unreadable_filter,
    list_path,
    previous_list_path,
)
from webapp.dashboard.scope import workspace

CANCEL_LIMIT = 10_000
"""Jobs that one act may cancel; of more that match, the newest."""
COUNT_SAMPLE = 2 * CANCEL_LIMIT
"""Jobs of a status among which those of a common tag are counted, before the question: far more than for a tab."""
NAMES_ON_PAGE = 8
"""Jobs named on the page that asks."""
NAMES_IN_ANSWER = 3
"""Jobs named for each of what kept some from being canceled."""
OUTCOMES = {
    CancelOutcome.CANCELED: "canceled",
    CancelOutcome.ALREADY_CANCELED: "had been canceled before",
    CancelOutcome.FINISHED: "had finished",
    CancelOutcome.NOT_FOUND: "not found",
}
NAMED_OUTCOMES = (CancelOutcome.ALREADY_CANCELED, CancelOutcome.FINISHED)


# --- the question ------------------------------------------------------------------------------------------------


@workspace.get("/jobs/cancel")
def confirm_cancel_jobs() -> str:
    """Show what a cancel of all that match would hit: how many of what, and the first of them by name."""
    query, cancelable = _parse_cancelable(request.args)
    counts = listing.count_by_status(g.workspace.id, cancelable, sample=COUNT_SAMPLE)
    newest = listing.list_jobs(g.workspace.id, cancelable, limit=NAMES_ON_PAGE).jobs
    return _confirm_page({status: counts[status] for status in cancelable.statuses}, newest, query=query)


def _parse_cancelable(args: MultiDict[str, str]) -> tuple[ListQuery, JobFilter]:
    """Read which jobs are meant, and return what of them can be canceled: nothing, if a filter cannot be read."""
    query = ListQuery.parse(args)
    cancelable = listing.restrict_to_cancelable(query.filter)
    if has_unreadable_filter(args):
        cancelable = replace(cancelable, ids=(LAST_ID, FIRST_ID))
    return query, cancelable


def _confirm_ticked(job_ids: list[uuid.UUID]) -> str:
    cancelable = [job for job in listing.by_ids(g.workspace.id, job_ids) if job.can_cancel]
    counts = {status: Count(count, False) for status, count in Counter(job.status for job in cancelable).items()}
    return _confirm_page(counts, cancelable, ticked_ids=job_ids)


def _confirm_page(
    counts: Mapping[JobStatus, Count],
    cancelable: Sequence[JobRun],
    *,
    query: ListQuery | None = None,
    ticked_ids: Sequence[uuid.UUID] = (),
) -> str:
    total = sum(count.count for count in counts.values())
    first_jobs = cancelable[:NAMES_ON_PAGE]
    return render_template(
        "jobs/cancel.html",
        filter_labels=NARROWING,
        counts=counts,
        total=min(total, CANCEL_LIMIT),
        capped=total > CANCEL_LIMIT or any(count.capped for count in counts.values()),
        first_jobs=first_jobs,
        query=query,
        names=names_for(query or ListQuery(), first_jobs),
        ticked_ids=ticked_ids,
        back=url_for(".list_jobs", **query.but()) if query else previous_list_path(),
    )


# --- the act -----------------------------------------------------------------------------------------------------


@workspace.post("/jobs/cancel")
def cancel_jobs() -> AnyResponse | str:
    if "all" in request.form:
        return _cancel_matching(*_parse_cancelable(request.form))
    job_ids = request.form.getlist("job", type=uuid.UUID)[:PAGE_SIZE]
    if job_ids and not (hx.is_fragment() or "sure" in request.form):
        return _confirm_ticked(job_ids)
    return _cancel_ticked(job_ids)


def _cancel_ticked(job_ids: list[uuid.UUID]) -> AnyResponse:
    outcomes = jobs.cancel_jobs(g.workspace.id, job_ids, by=current_actor())
    back = list_path(request.form.get("back") or request.referrer)
    return hx.command_answer(_summarize(outcomes) or "Nothing was ticked", back)


def _cancel_matching(query: ListQuery, cancelable: JobFilter) -> AnyResponse:
    """Cancel what matched when the question was shown; a job that came since is not among them."""
    newest = request.form.get("newest", type=uuid.UUID)
    shown = min(request.form.get("shown", 0, type=int), CANCEL_LIMIT)
    job_ids = listing.list_ids(g.workspace.id, cancelable, limit=shown, up_to=newest) if newest and shown > 0 else ()
    outcomes = jobs.cancel_jobs(g.workspace.id, job_ids, by=current_actor())
    missing = shown - len(job_ids)
    parts = [_summarize(outcomes), f"{missing:,} had finished or no longer matched" if missing > 0 else ""]
    return hx.command_answer(", ".join(filter(None, parts)) or "Nothing matched", url_for(".list_jobs", **query.but()))


def _summarize(outcomes: Mapping[uuid.UUID, CancelOutcome]) -> str:
    """Write what became of the jobs, and name the first that were not canceled: ``41 canceled, 1 had finished (…)``."""
    parts = []
    for outcome, words in OUTCOMES.items():
        if job_ids := [job_id for job_id, each in outcomes.items() if each is outcome]:
            parts.append(f"{len(job_ids):,} {words}{_list_names(job_ids) if outcome in NAMED_OUTCOMES else ''}")
    return ", ".join(parts)


def _list_names(job_ids: Sequence[uuid.UUID]) -> str:
    """Write the names of the first jobs in brackets, and how many more there are: ``(import …1f3c09aa and 2 more)``."""
    names = [
        f"{isolate(job.type)} …{job.short_id}" for job in listing.by_ids(g.workspace.id, job_ids[:NAMES_IN_ANSWER])
    ]
    more = len(job_ids) - len(names)
    return f" ({', '.join(names)}{f' and {more:,} more' if more else ''})" if names else ""
