"""The only place that lists jobs: what to filter by, one page, the counts on the tabs.

Pages follow each other by key, newest first, so that page 1,000 costs what page 1 costs. A list never loads payload,
result or error: they may be large, and no list shows them.
"""

import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from webapp.core.database.session import db
from webapp.core.jobs import error_groups
from webapp.core.lifecycle import JobStatus, predecessors
from webapp.core.models import JOB_FIELDS, JobRun, JobTag, first_id

_Query = TypeVar("_Query", bound="sa.Select[*tuple[Any, ...]]")

COUNT_CAP = 10_000
"""Counting stops here, so that a tab costs the same at a million jobs."""
COMMON = 10_000
"""A tag of more jobs than this is looked for at each job; of a rarer one all jobs are looked up."""
COUNTED = 1_000
"""Where a tag is common, it is counted among so many jobs of a status: each costs PostgreSQL two microseconds."""
TYPES_SHOWN = 200
SEARCHED = 10_000
"""A text is looked for in the errors of so many failed jobs, the newest ones."""

_FIRST_ID, _LAST_ID = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)

_ROW = [
    getattr(JobRun, column.key)
    for column in JobRun.__table__.columns
    if column.key not in ("payload", "result", "error")
]
# Made once: to make it takes a tenth of a page.
_WITHOUT_TEXTS = load_only(*_ROW, raiseload=True)
_RECORD = [getattr(JobRun, name) for name in JOB_FIELDS if name not in ("payload", "result")]


@dataclass(frozen=True)
class JobFilter:
    """Which jobs of a workspace are meant. An empty filter means all; the bounds of creation are exclusive.

    ``failed_since`` means those that failed at that moment or later, ``error_group`` the failed ones that have this
    mark: their errors say the same. ``ids`` are the first and the last id of a range. ``error_text`` is looked for,
    whatever its case, in the errors of the newest ``SEARCHED`` failed jobs that all else leaves: far dearer than the
    rest. ``longest_first`` orders running jobs by their start instead of newest first.
    """

    statuses: tuple[JobStatus, ...] = ()
    type: str | None = None
    tag: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    created_by: str | None = None
    failed_since: datetime | None = None
    error_group: str | None = None
    ids: tuple[uuid.UUID, uuid.UUID] | None = None
    also_tag: str | None = None
    error_text: str | None = None
    longest_first: bool = False

    @property
    def by_start(self) -> bool:
        """Whether the jobs are ordered by their start: only what runs has one to go by."""
        return self.longest_first and self.statuses == (JobStatus.RUNNING,)

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(filter(None, (self.tag, self.also_tag)))

    @property
    def only_failed(self) -> bool:
        return any(asked is not None for asked in (self.failed_since, self.error_group, self.error_text))


J = TypeVar("J", JobRun, sa.Row[Any])


@dataclass(frozen=True)
class JobPage(Generic[J]):
    """One page of jobs and the key at which the next one begins; null at the end.

    ``next_started`` belongs to the key where jobs are ordered by their start.
    """

    jobs: Sequence[J]
    next_cursor: uuid.UUID | None
    next_started: datetime | None = None


@dataclass(frozen=True)
class Count:
    """How many there are; ``capped`` means at least that many."""

    count: int
    capped: bool


def is_in(status: JobStatus) -> sa.ColumnElement[bool]:
    """A status said in the statement itself: only so does an index over one status serve it."""
    return JobRun.status == sa.bindparam(None, status, JobRun.status.type, unique=True, literal_execute=True)


def _jobs_with(workspace_id: uuid.UUID, tag: str) -> sa.Select[uuid.UUID]:
    return sa.select(JobTag.job_id).where(JobTag.workspace_id == workspace_id, JobTag.tag == tag)


def _common(workspace_id: uuid.UUID, tags: Iterable[str]) -> frozenset[str]:
    """Those of the tags that more than ``COMMON`` jobs carry."""
    # From the newest on: what was deleted lately stands at the other end, and would be passed over one by one.
    beyond = {tag: _jobs_with(workspace_id, tag).order_by(JobTag.job_id.desc()).offset(COMMON) for tag in tags}
    return frozenset(tag for tag, query in beyond.items() if db.session.scalar(query.limit(1)) is not None)


def _matching(
    workspace_id: uuid.UUID, wanted: JobFilter, common: frozenset[str] | None = None
) -> list[sa.ColumnElement[bool]]:
    """What must hold of a job. ``common`` are the common ones of the tags, if they are known already."""
    if common is None:
        common = _common(workspace_id, wanted.tags)
    conditions = [JobRun.workspace_id == workspace_id]
    if wanted.by_start:
        conditions += [is_in(JobStatus.RUNNING), JobRun.started_at.is_not(None)]
    elif wanted.statuses:
        conditions.append(JobRun.status.in_(wanted.statuses))
    if wanted.type is not None:
        conditions.append(JobRun.type == wanted.type)
    for tag in sorted(wanted.tags):
        tagged = _jobs_with(workspace_id, tag)
        at_each = tagged.where(JobTag.job_id == JobRun.id).exists()
        conditions.append(at_each if tag in common else JobRun.id.in_(tagged))
    if wanted.created_by is not None:
        conditions.append(JobRun.created_by == wanted.created_by)
    # Ids sort by creation: a bound on them lets the index skip what lies outside.
    if wanted.created_after is not None:
        conditions += [JobRun.created_at > wanted.created_after, JobRun.id >= first_id(wanted.created_after)]
    if wanted.created_before is not None:
        conditions += [JobRun.created_at < wanted.created_before, JobRun.id < first_id(wanted.created_before)]
    if wanted.ids is not None:
        conditions.append(JobRun.id.between(*wanted.ids))
    if wanted.failed_since is not None:
        conditions += [is_in(JobStatus.FAILED), JobRun.completed_at >= wanted.failed_since]
    if wanted.error_group is not None:
        conditions += [is_in(JobStatus.FAILED), JobRun.error_group == wanted.error_group]
    if wanted.error_text is not None:
        newest = sa.select(JobRun.id, JobRun.error).where(*conditions, is_in(JobStatus.FAILED))
        newest_first = newest.order_by(JobRun.id.desc()).limit(SEARCHED).subquery().c
        found = sa.select(newest_first.id).where(newest_first.error.icontains(wanted.error_text, autoescape=True))
        conditions = [JobRun.workspace_id == workspace_id, JobRun.id.in_(found)]
    return conditions


def _behind(query: _Query, wanted: JobFilter, cursor: uuid.UUID | None, started: datetime | None) -> _Query:
    """The query in its order, from behind a key on."""
    if wanted.by_start:
        if cursor is not None and started is not None:
            query = query.where(sa.tuple_(JobRun.started_at, JobRun.id) > sa.tuple_(started, cursor))
        return query.order_by(JobRun.started_at, JobRun.id)
    if cursor is not None:
        query = query.where(JobRun.id < cursor)
    return query.order_by(JobRun.id.desc())


def one_page(
    workspace_id: uuid.UUID,
    wanted: JobFilter,
    *,
    limit: int,
    cursor: uuid.UUID | None = None,
    started: datetime | None = None,
) -> JobPage[JobRun]:
    """The first ``limit`` matching jobs, or those behind ``cursor``. A job that is gone breaks no cursor.

    ``started`` is the other half of the cursor where jobs are ordered by their start.
    """
    query = sa.select(JobRun).where(*_matching(workspace_id, wanted)).options(_WITHOUT_TEXTS)
    query = _behind(query, wanted, cursor, started).limit(limit + 1).execution_options(populate_existing=True)
    return _page(db.session.scalars(query).all(), wanted, limit)


def one_page_of_records(
    workspace_id: uuid.UUID, wanted: JobFilter, *, limit: int, cursor: uuid.UUID | None = None
) -> JobPage[sa.Row[Any]]:
    """The same as rows with the fields of the record, errors among them, but for payload and result.

    Objects of the session cost more than half again, and whoever only tells of jobs has no use for them. Newest first.
    """
    query = sa.select(*_RECORD).where(*_matching(workspace_id, wanted))
    return _page(db.session.execute(_behind(query, wanted, cursor, None).limit(limit + 1)).all(), wanted, limit)


def _page(found: Sequence[J], wanted: JobFilter, limit: int) -> JobPage[J]:
    if len(found) <= limit:
        return JobPage(found, None)
    last = found[limit - 1]
    return JobPage(found[:limit], last.id, last.started_at if wanted.by_start else None)


def versions(
    workspace_id: uuid.UUID,
    wanted: JobFilter,
    *,
    limit: int,
    cursor: uuid.UUID | None = None,
    started: datetime | None = None,
) -> Sequence[tuple[uuid.UUID, int]]:
    """The ids and versions of a page and of the job after it: equal pairs mean an equal page, far cheaper."""
    query = sa.select(JobRun.id, JobRun.version).where(*_matching(workspace_id, wanted))
    rows = db.session.execute(_behind(query, wanted, cursor, started).limit(limit + 1))
    return [(row.id, row.version) for row in rows]


def counts(workspace_id: uuid.UUID, wanted: JobFilter, *, looked_at: int | None = None) -> Mapping[JobStatus, Count]:
    """How many jobs of each status match, whatever statuses the filter names; counting stops at ``COUNT_CAP``.

    With a tag that is common it stops after ``looked_at`` (``COUNTED``) of the jobs that all else leaves of a status:
    what is told then may be fewer than ``COUNT_CAP``, and at least that many.
    """
    wanted = replace(wanted, statuses=())
    common = _common(workspace_id, wanted.tags)
    if wanted.error_text is None and common:
        return _counts_among_some(workspace_id, wanted, looked_at or COUNTED)
    conditions = _matching(workspace_id, wanted, common)
    asked = [JobStatus.FAILED] if wanted.only_failed else list(JobStatus)
    # Not even the id: it is in neither index over type or maker and status, and each row would be looked up for it.
    matching = _for_counting(sa.select(sa.literal_column("1")).select_from(JobRun).where(*conditions), wanted)
    found = [
        sa.select(sa.func.count())
        .select_from(matching.where(JobRun.status == status).limit(COUNT_CAP + 1).subquery())
        .scalar_subquery()
        for status in asked
    ]
    row = dict(zip(asked, db.session.execute(sa.select(*found)).one(), strict=True))
    return {status: Count(min(row.get(status, 0), COUNT_CAP), row.get(status, 0) > COUNT_CAP) for status in JobStatus}


def _for_counting(jobs: sa.Select[Any], wanted: JobFilter) -> sa.Select[Any]:
    """Jobs in the order in which a status is counted up to a cap.

    From the newest on: PostgreSQL passes over what retention has just deleted at the other end, one by one. But in no
    order where another index serves than that by status, for an order would lead past it.
    """
    by_another_index = wanted.type or wanted.created_by or wanted.only_failed or wanted.tags
    return jobs if by_another_index else jobs.order_by(JobRun.id.desc())


def _counts_among_some(workspace_id: uuid.UUID, wanted: JobFilter, looked_at: int) -> Mapping[JobStatus, Count]:
    wanted_else = replace(wanted, tag=None, also_tag=None)
    others = _for_counting(sa.select(JobRun.id).where(*_matching(workspace_id, wanted_else)), wanted_else)
    asked = []
    for status in JobStatus:
        job = others.where(JobRun.status == status).limit(looked_at + 1).subquery().c
        # A query for a value, and not "exists": of that PostgreSQL makes a join, and reads all that carry the tag.
        tagged = [_jobs_with(workspace_id, tag).where(JobTag.job_id == job.id) for tag in sorted(wanted.tags)]
        has_all = sa.and_(*(one.scalar_subquery().is_not(None) for one in tagged))
        asked.append(sa.select(sa.literal(status.value), sa.func.count(job.id), sa.func.count(sa.case((has_all, 1)))))
    found = {
        status: Count(min(matched, COUNT_CAP), matched > COUNT_CAP or among > looked_at)
        for status, among, matched in db.session.execute(sa.union_all(*asked))
    }
    return {status: found[status.value] for status in JobStatus}


def each_page(workspace_id: uuid.UUID, wanted: JobFilter, *, limit: int) -> Iterator[Sequence[sa.Row[Any]]]:
    """All matching jobs as records, page by page, each read by itself: in the memory of one page. Newest first."""
    cursor = None
    while True:
        page = one_page_of_records(workspace_id, wanted, limit=limit, cursor=cursor)
        yield page.jobs
        db.session.commit()
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def ids(
    workspace_id: uuid.UUID, wanted: JobFilter, *, limit: int, up_to: uuid.UUID | None = None
) -> Sequence[uuid.UUID]:
    """The ids of the first ``limit`` matching jobs; with ``up_to`` of none that is newer."""
    query = sa.select(JobRun.id).where(*_matching(workspace_id, wanted))
    if up_to is not None:
        query = query.where(JobRun.id <= up_to)
    return db.session.scalars(_behind(query, wanted, None, None).limit(limit)).all()


def some(workspace_id: uuid.UUID, job_ids: Sequence[uuid.UUID]) -> Sequence[JobRun]:
    """Those of the given jobs that are this workspace's, newest first."""
    query = sa.select(JobRun).where(JobRun.workspace_id == workspace_id, JobRun.id.in_(job_ids))
    return db.session.scalars(query.options(_WITHOUT_TEXTS).order_by(JobRun.id.desc())).all()


def cancelable(wanted: JobFilter) -> JobFilter:
    """Of what matches, what a cancel would move; newest first."""
    statuses = [status for status in JobStatus if status in predecessors(JobStatus.CANCELED)]
    if wanted.statuses:
        statuses = [status for status in statuses if status in wanted.statuses]
    # An empty tuple would mean every status: what has finished alone matches nothing that can be canceled.
    nothing = not statuses or wanted.only_failed
    ids = (_LAST_ID, _FIRST_ID) if nothing else wanted.ids
    return replace(wanted, statuses=tuple(statuses), ids=ids, error_text=None, longest_first=False)


def types(workspace_id: uuid.UUID) -> Sequence[str]:
    """The types of job in a workspace, by name, the first ``TYPES_SHOWN``.

    Leaps from one type to the next in the index; DISTINCT would read every row of the workspace.
    """
    mine = JobRun.workspace_id == workspace_id
    first = sa.select(sa.func.min(JobRun.type).label("type"), sa.literal(1).label("n")).where(mine)
    found = first.cte("found", recursive=True)
    following = sa.select(sa.func.min(JobRun.type)).where(mine, JobRun.type > found.c.type).scalar_subquery()
    found = found.union_all(
        sa.select(following, found.c.n + 1).where(found.c.type.is_not(None), found.c.n < TYPES_SHOWN)
    )
    return db.session.scalars(sa.select(found.c.type).where(found.c.type.is_not(None)).order_by(found.c.n)).all()


def alike(workspace_id: uuid.UUID, marks: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """The type, and the pattern of the error, of each mark that failed jobs of this workspace have."""
    if not marks:
        return {}
    mine = sa.select(JobRun.error_group, JobRun.type, JobRun.error).where(JobRun.workspace_id == workspace_id)
    newest = [
        mine.where(is_in(JobStatus.FAILED), JobRun.error_group == mark).order_by(JobRun.id.desc()).limit(1).subquery()
        for mark in sorted(marks)
    ]
    rows = db.session.execute(sa.union_all(*(sa.select(one) for one in newest)))
    return {row.error_group: (row.type, error_groups.pattern(row.error)) for row in rows}


# --- the search box ----------------------------------------------------------------------------------------------


class SearchKind(StrEnum):
    """What a word in the search box was understood as."""

    ID = "id"
    ID_START = "id_start"
    TYPE = "type"
    TAG = "tag"
    ERROR = "error"


@dataclass(frozen=True)
class Search:
    """What was searched for, and as what."""

    kind: SearchKind
    text: str

    def narrow(self, wanted: JobFilter) -> JobFilter:
        """The filter with the search in it: both must hold."""
        match self.kind:
            case SearchKind.ID | SearchKind.ID_START:
                digits = self.text.replace("-", "")
                first, last = (uuid.UUID(digits.ljust(32, end)) for end in "0f")
                return replace(wanted, ids=(first, last))
            case SearchKind.TYPE:
                # No job has two types: then no id is in the range, which ends before it begins.
                clash = wanted.type not in (None, self.text)
                return replace(wanted, type=self.text, ids=(_LAST_ID, _FIRST_ID) if clash else None)
            case SearchKind.TAG:
                return replace(wanted, also_tag=self.text)
            case SearchKind.ERROR:
                return replace(wanted, error_text=self.text)


_ID_START = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-?|[0-9a-f]{8}-[0-9a-f-]{5,27}|[0-9a-f]{13,32}")


def understand(workspace_id: uuid.UUID, text: str) -> Search:
    """What a text in the search box means: an id or 13 and more characters of its start, a type or a tag that this
    workspace has, else a text in the errors. ``error:`` before it asks for the last in any case.
    """
    said, _, rest = text.partition(":")
    if said.lower() == "error" and rest.strip():
        return Search(SearchKind.ERROR, rest.strip())
    lowered = text.lower()
    if len(lowered) >= 13 and _ID_START.fullmatch(lowered) and len(digits := lowered.replace("-", "")) <= 32:
        return Search(SearchKind.ID if len(digits) == 32 else SearchKind.ID_START, lowered)
    is_type = sa.exists().where(JobRun.workspace_id == workspace_id, JobRun.type == text)
    is_tag = sa.exists().where(JobTag.workspace_id == workspace_id, JobTag.tag == text)
    found = db.session.execute(sa.select(is_type.label("type"), is_tag.label("tag"))).one()
    return Search(SearchKind.TYPE if found.type else SearchKind.TAG if found.tag else SearchKind.ERROR, text)
