"""What the address of the job list asks for, read and written; and the list that somebody left for another page."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from flask import g, request, url_for
from werkzeug.datastructures import MultiDict

from webapp.core import clock
from webapp.core.jobs import error_groups, search
from webapp.core.jobs.listing import JobFilter
from webapp.core.jobs.search import Search, SearchKind
from webapp.core.lifecycle import JobStatus
from webapp.dashboard import hx

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
            return value if value and parse_moment(value) else None

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
            created_after=parse_moment(self.created_after),
            created_before=parse_moment(self.created_before),
            failed_since=parse_moment(self.failed_since),
            error_group=self.error_group,
            longest_first=self.sort == "longest",
        )
        return self.search.narrow(plain) if self.search else plain

    @property
    def place(self) -> dict[str, Any]:
        """From where on; the core's own words for it."""
        return {"cursor": self.cursor, "started": parse_moment(self.started)}

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


def parse_moment(text: str | None) -> datetime | None:
    """A moment of an address or a form, or nothing; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text or "")
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if 1970 <= found.year < 9999 else None


def list_left() -> str:
    """The list as it was filtered when the person left it for this address."""
    return list_at(request.referrer)


def list_at(address: str | None) -> str:
    """The list as an address has it filtered; the whole one if that is no address of this list."""
    left, plain = hx.path_of(address) or "", url_for(".list_jobs")
    return left if left.partition("?")[0] == plain else plain
