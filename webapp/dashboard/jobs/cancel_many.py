"""What is done to many jobs at once: cancel what is ticked, or all that match; asked before, and told of after.

With scripts the list itself asks before it cancels what is ticked; without them, and for all that match, a page does.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

from flask import g, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import jobs
from webapp.core.jobs import CancelOutcome, listing
from webapp.core.jobs.listing import Count
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun
from webapp.dashboard import hx
from webapp.dashboard.auth import me
from webapp.dashboard.jobs.listing import PAGE_SIZE, names_for
from webapp.dashboard.jobs.query import NARROWING, Asked, list_at, list_left
from webapp.dashboard.scope import workspace

AT_ONCE = 10_000
"""Jobs that one act may cancel; of more that match, the newest."""
LOOKED_AT = 2 * AT_ONCE
"""Jobs of a status that are looked at for a tag that is common, before it is asked: far more than for a tab."""
NAMED = 8
"""Jobs named on the page that asks."""
TOLD = 3
"""Jobs named for each of what kept some from being canceled."""
OUTCOMES = {
    CancelOutcome.CANCELED: "canceled",
    CancelOutcome.ALREADY_CANCELED: "had been canceled before",
    CancelOutcome.FINISHED: "had finished",
    CancelOutcome.NOT_FOUND: "not found",
}
UNMOVED = (CancelOutcome.ALREADY_CANCELED, CancelOutcome.FINISHED)


@workspace.get("/jobs/cancel")
def confirm_cancel_jobs() -> str:
    """What a cancel of all that match would hit: how many of what, and the first of them by name."""
    asked = Asked.by(request.args)
    wanted = listing.restrict_to_cancelable(asked.filter)
    counts = listing.count_by_status(g.workspace.id, wanted, sample=LOOKED_AT)
    first = listing.list_jobs(g.workspace.id, wanted, limit=NAMED).jobs
    return _confirmation({status: counts[status] for status in wanted.statuses}, first, asked=asked)


@workspace.post("/jobs/cancel")
def cancel_jobs() -> AnyResponse | str:
    if "all" in request.form:
        return _cancel_matching(Asked.by(request.form))
    ticked = request.form.getlist("job", type=uuid.UUID)[:PAGE_SIZE]
    if ticked and not (hx.is_fragment() or "sure" in request.form):
        return _confirm_ticked(ticked)
    outcomes = jobs.cancel_jobs(g.workspace.id, ticked, by=me())
    return hx.done(_told(outcomes) or "Nothing was ticked", list_at(request.form.get("back") or request.referrer))


def _confirm_ticked(ticked: list[uuid.UUID]) -> str:
    found = listing.by_ids(g.workspace.id, ticked)
    live = [job for job in found if job.can_cancel]
    counts = {status: Count(number, False) for status, number in Counter(job.status for job in live).items()}
    return _confirmation(counts, live, ticked=ticked)


def _confirmation(
    counts: Mapping[JobStatus, Count],
    first: Sequence[JobRun],
    *,
    asked: Asked | None = None,
    ticked: Sequence[uuid.UUID] = (),
) -> str:
    total = sum(count.count for count in counts.values())
    capped = total > AT_ONCE or any(count.capped for count in counts.values())
    return render_template(
        "jobs/cancel.html",
        narrowing=NARROWING,
        counts=counts,
        total=min(total, AT_ONCE),
        capped=capped,
        named=first[:NAMED],
        asked=asked,
        names=names_for(asked or Asked(), first[:NAMED]),
        ticked=ticked,
        back=url_for(".list_jobs", **asked.but()) if asked else list_left(),
    )


def _cancel_matching(asked: Asked) -> AnyResponse:
    """Cancel what matched when it was asked about; a job that came since is not among them."""
    newest = request.form.get("newest", type=uuid.UUID)
    shown = min(request.form.get("shown", 0, type=int), AT_ONCE)
    wanted = listing.restrict_to_cancelable(asked.filter)
    found = listing.list_ids(g.workspace.id, wanted, limit=shown, up_to=newest) if newest and shown > 0 else ()
    outcomes = jobs.cancel_jobs(g.workspace.id, found, by=me())
    left = shown - len(found)
    told = [_told(outcomes), f"{left:,} had finished or no longer matched" if left > 0 else ""]
    return hx.done(", ".join(filter(None, told)) or "Nothing matched", url_for(".list_jobs", **asked.but()))


def _told(outcomes: Mapping[uuid.UUID, CancelOutcome]) -> str:
    """\"41 canceled, 1 had finished (import …1f3c09aa)\": the first of those that were not canceled are named."""
    told = []
    for outcome, words in OUTCOMES.items():
        if its := [job_id for job_id, became in outcomes.items() if became is outcome]:
            told.append(f"{len(its):,} {words}{_named(its) if outcome in UNMOVED else ''}")
    return ", ".join(told)


def _named(job_ids: Sequence[uuid.UUID]) -> str:
    shown = [f"{job.type} …{job.short_id}" for job in listing.by_ids(g.workspace.id, job_ids[:TOLD])]
    more = len(job_ids) - len(shown)
    return f" ({', '.join(shown)}{f' and {more:,} more' if more else ''})" if shown else ""
