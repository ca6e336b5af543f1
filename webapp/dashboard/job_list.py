"""The job list: what its address asks for, the whole page, and its fragment that polls.

The page includes the template of its fragment and is fed by the same function, so first paint and refresh cannot drift.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from flask import current_app, g, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from webapp.core import audit, clock
from webapp.core.jobs import error_groups, listing, search
from webapp.core.jobs.listing import COUNT_CAP, Count, JobFilter
from webapp.core.jobs.search import Search, SearchKind
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun
from webapp.core.stats import durations
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import members, tokens
from webapp.dashboard import hx, looks
from webapp.dashboard.looks import Look
from webapp.dashboard.scope import etag_of, workspace

PAGE_SIZE = 50
TEXT_LIMIT = 200
"""Characters that a filter may have, as many as a type."""
NARROWING = {
    "q": "search",
    "type": "type",
    "tag": "tag",
    "created_by": "created by",
    "created_after": "created after",
    "created_before": "created before",
    "failed_since": "failed since",
    "error_group": "same error",
}
"""What leaves fewer jobs, and how it is called on the page."""
LOOK_BACK = {"hour": timedelta(hours=1), "12 hours": timedelta(hours=12), "24 hours": timedelta(hours=24)}
"""How far back a link of the failed jobs looks, in words for the page: a night is 12 hours."""


@dataclass(frozen=True)
class Asked:
    """What the address asks for: which jobs, and from where on. Values that mean nothing are left out kindly.

    Moments are kept as they were written, so that a form shows them again; without a zone they are UTC.
    """

    status: JobStatus | None = None
    q: str | None = None
    type: str | None = None
    tag: str | None = None
    created_by: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    failed_since: str | None = None
    error_group: str | None = None
    sort: str | None = None
    cursor: uuid.UUID | None = None
    started: str | None = None

    @classmethod
    def by(cls, args: MultiDict[str, str]) -> "Asked":
        def text(name: str) -> str | None:
            value = args.get(name, "").strip()[:TEXT_LIMIT]
            return value if value and "\0" not in value else None

        def moment(name: str) -> str | None:
            value = text(name)
            return value if value and _moment(value) else None

        status = args.get("status")
        status = JobStatus(status) if status in set(JobStatus) else None
        return cls(
            status=status,
            q=text("q"),
            type=text("type"),
            tag=text("tag"),
            created_by=text("created_by"),
            created_after=moment("created_after"),
            created_before=moment("created_before"),
            failed_since=moment("failed_since"),
            error_group=group if error_groups.FINGERPRINT.fullmatch(group := args.get("error_group", "")) else None,
            sort="longest" if args.get("sort") == "longest" and status is JobStatus.RUNNING else None,
            cursor=args.get("cursor", type=uuid.UUID),
            started=moment("started"),
        )

    @cached_property
    def search(self) -> Search | None:
        """What the search box was understood as, in the workspace at hand."""
        return search.parse_search(g.workspace.id, self.q) if self.q else None

    @cached_property
    def filter(self) -> JobFilter:
        plain = JobFilter(
            statuses=(self.status,) if self.status else (),
            type=self.type,
            tag=self.tag,
            created_by=self.created_by,
            created_after=_moment(self.created_after),
            created_before=_moment(self.created_before),
            failed_since=_moment(self.failed_since),
            error_group=self.error_group,
            longest_first=self.sort == "longest",
        )
        return self.search.narrow(plain) if self.search else plain

    @property
    def place(self) -> dict[str, Any]:
        """From where on; the core's own words for it."""
        return {"cursor": self.cursor, "started": _moment(self.started)}

    @property
    def narrowing(self) -> dict[str, str]:
        """The filters that are on, apart from the status, which the tabs show."""
        return {name: value for name in NARROWING if (value := getattr(self, name))}

    @property
    def polls(self) -> bool:
        """Only the newest page asks by itself; and no search through texts, which costs far more than a look."""
        return self.cursor is None and not self.searches_errors

    @property
    def searches_errors(self) -> bool:
        return self.search is not None and self.search.kind is SearchKind.ERROR

    @property
    def look_back(self) -> Mapping[str, str]:
        """Since when jobs failed that did so in the last so and so long: a moment, so that a link keeps its meaning."""
        now = clock.now()
        return {words: f"{now - span:%Y-%m-%dT%H:%M}" for words, span in LOOK_BACK.items()}

    def but(self, **changes: Any) -> dict[str, Any]:
        """The query of the same view with something changed; such a view begins at its first page."""
        changed = {"cursor": None, "started": None} | changes
        if changed.get("status", self.status) is not self.status:
            changed = {"sort": None} | changed
        asked = replace(self, **changed)
        return {field.name: value for field in fields(asked) if (value := getattr(asked, field.name)) is not None}


def _moment(text: str | None) -> datetime | None:
    """A moment of an address or a form, or nothing; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text or "")
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if 1970 <= found.year < 9999 else None


# --- the list ----------------------------------------------------------------------------------------------------


@workspace.get("/jobs", endpoint="job_list")
def job_list_page() -> AnyResponse | str:
    asked = Asked.by(request.args)
    if asked.search and asked.search.kind is SearchKind.ID and (only := _the_one(asked)):
        return redirect(url_for(".job", job_id=only), code=303)
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
def job_table() -> AnyResponse:
    asked = Asked.by(request.args)
    look = looks.recent(asked, lambda: _look(asked))
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
    return {**names, **{text: _in_words(moment) for text in moments if (moment := _moment(text))}}


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


def list_left() -> str:
    """The list as it was filtered when the person left it for this address."""
    return list_at(request.referrer)


def list_at(address: str | None) -> str:
    """The list as an address has it filtered; the whole one if that is no address of this list."""
    left, plain = hx.path_of(address) or "", url_for(".job_list")
    return left if left.partition("?")[0] == plain else plain
