"""Read what the address of the job list asks for, and write it; find the list that somebody left for another page."""

import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from flask import g, request, url_for
from werkzeug.datastructures import MultiDict

from webapp.concurrency import ConcurrencyLimit
from webapp.core import clock
from webapp.core.jobs import error_groups, search
from webapp.core.jobs.listing import JobFilter
from webapp.core.jobs.search import Search, SearchKind
from webapp.core.lifecycle import JobStatus
from webapp.dashboard import hx

TEXT_LIMIT = 201
"""Characters of a filter that are looked at, one more than a name may have: what is longer names nothing."""
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

searches = ConcurrencyLimit(
    4, "Your last search through errors is still at work. Try again in a few seconds.", patience=3, retry_after=2
)
"""A search through errors may read thousands of long texts."""


def parse_moment(text: str | None) -> datetime | None:
    """Return a moment of an address or a form in UTC, ``None`` if it is none; without a zone it is UTC already."""
    try:
        moment = datetime.fromisoformat(text or "")
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1970 <= moment.year < 9999 else None


class LookBack(NamedTuple):
    """A link of the failed jobs: how far back it looks, in words and in seconds, and since which moment."""

    words: str
    seconds: int
    since: str


@dataclass(frozen=True)
class ListQuery:
    """What an address asks of the list: which jobs, and from where on.

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
    def parse(cls, args: MultiDict[str, str]) -> "ListQuery":
        """Read the parameters of an address or a form; values that mean nothing are left out kindly.

        A blank or too long name stays a filter, which matches nothing.
        """

        def text(name: str) -> str | None:
            value = args.get(name, "")[:TEXT_LIMIT]
            return None if "\0" in value else value.strip() or value or None

        def moment(name: str) -> str | None:
            value = text(name)
            return value if value and parse_moment(value) else None

        status = args.get("status")
        status = JobStatus(status) if status in set(JobStatus) else None
        search_text = args.get("q", "").strip()
        return cls(
            status=status,
            q=text("q") if search_text else None,
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
        """What the search box is understood as, in the workspace at hand."""
        return search.parse_search(g.workspace.id, self.q) if self.q else None

    @cached_property
    def filter(self) -> JobFilter:
        """Which jobs are meant, as the core takes it."""
        plain = JobFilter(
            statuses=(self.status,) if self.status else (),
            type=self.type,
            tag=self.tag,
            created_by=self.created_by,
            created_after=parse_moment(self.created_after),
            created_before=parse_moment(self.created_before),
            failed_since=parse_moment(self.failed_since),
            error_group=self.error_group,
            longest_first=self.sort == "longest",
        )
        return self.search.narrow(plain) if self.search else plain

    @property
    def position(self) -> dict[str, Any]:
        """From where on, as the core takes it."""
        return {"cursor": self.cursor, "started": parse_moment(self.started)}

    @property
    def narrowing(self) -> dict[str, str]:
        """The filters that are on, apart from the status, which the tabs show."""
        return {name: value for name in NARROWING if (value := getattr(self, name))}

    @property
    def polls(self) -> bool:
        """Whether the page asks by itself: only the newest one, and no search through texts, which costs far more."""
        return self.cursor is None and not self.searches_errors

    @property
    def searches_errors(self) -> bool:
        return self.search is not None and self.search.kind is SearchKind.ERROR

    @property
    def look_back(self) -> Sequence[LookBack]:
        """The moments since which the links of the failed jobs look; moments, so that a link keeps its meaning."""
        now = clock.now()
        return [
            LookBack(words, int(span.total_seconds()), f"{now - span:%Y-%m-%dT%H:%M}")
            for words, span in LOOK_BACK.items()
        ]

    def but(self, **changes: Any) -> dict[str, Any]:
        """Return the parameters of the same view with something changed; such a view begins at its first page."""
        changes = {"cursor": None, "started": None} | changes
        if changes.get("status", self.status) is not self.status:
            changes = {"sort": None} | changes
        query = replace(self, **changes)
        return {field.name: value for field in fields(query) if (value := getattr(query, field.name)) is not None}


def search_place(query: ListQuery) -> AbstractContextManager[None]:
    """Return what holds the person's place for a search through errors, where the query is one.

    Entering it raises ``TooManyRequests``.
    """
    return searches.hold(g.user.id) if query.searches_errors else nullcontext()


def has_unreadable_filter(args: MultiDict[str, str]) -> bool:
    """Return whether ``parse`` leaves out a filter that is no empty field: no act may go by the others alone."""
    query = ListQuery.parse(args)
    left_out = {name for name in ("status", *NARROWING) if args.get(name) and getattr(query, name) is None}
    # A search box with nothing but blanks in it is as empty as it looks.
    return bool(left_out if args.get("q", "").strip() else left_out - {"q"})


def list_path(url: str | None) -> str:
    """Return the path and query of the list as a URL has it filtered; of the whole list if the URL is not of it."""
    path, whole_list = hx.extract_path(url) or "", url_for(".list_jobs")
    return path if path.partition("?")[0] == whole_list else whole_list


def previous_list_path() -> str:
    """Return the path and query of the list as it was filtered when the person left it for this page."""
    return list_path(request.referrer)
