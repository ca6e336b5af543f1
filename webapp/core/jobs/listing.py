"""Lists jobs, and nobody else does: what to filter by, one page, the counts on the tabs.

Pages follow each other by key, newest first, so that page 1,000 costs what page 1 costs. A list never loads payload,
result or error: they may be large, and no list shows them.
"""

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from webapp.core.database import casefold
from webapp.core.database.paging import fit_page, split_page
from webapp.core.database.session import db
from webapp.core.jobs import error_groups
from webapp.core.json_text import measure_json
from webapp.core.lifecycle import JobStatus, predecessors
from webapp.core.models import JOB_FIELDS, JobRun, JobTag, first_id

_Query = TypeVar("_Query", bound="sa.Select[*tuple[Any, ...]]")

COUNT_CAP = 10_000
"""Counting stops here, so that a tab costs the same at a million jobs."""
COMMON_TAG = 10_000
"""A tag of more jobs than this is checked at each job; of a rarer one all jobs are looked up."""
COMMON_TAG_SAMPLE = 1_000
"""Where a tag is common, it is counted among so many jobs of a status: each costs PostgreSQL two microseconds."""
ERRORS_SIZE = 1024 * 1024
"""Bytes of JSON text that the errors on one page of records may have."""
TYPES_SHOWN = 200
ERRORS_SEARCHED = 10_000
"""A text is searched in the errors of so many failed jobs, the newest ones."""

FIRST_ID, LAST_ID = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)

_ROW_COLUMNS = [
    getattr(JobRun, column.key)
    for column in JobRun.__table__.columns
    if column.key not in ("payload", "result", "error")
]
# Built once: to build it takes a tenth of a page.
_WITHOUT_TEXTS = load_only(*_ROW_COLUMNS, raiseload=True)
_RECORD_COLUMNS = [getattr(JobRun, name) for name in JOB_FIELDS if name not in ("payload", "result")]


@dataclass(frozen=True)
class JobFilter:
    """Which jobs of a workspace are meant. An empty filter means all; the bounds of creation are exclusive.

    ``failed_since`` means those that failed at that time or later, ``error_group`` the failed ones that have this
    fingerprint: their errors say the same. ``ids`` are the first and the last id of a range. ``error_text`` is
    searched, whatever its case, in the errors of the newest ``ERRORS_SEARCHED`` failed jobs that all else leaves: far
    dearer than the rest. ``longest_first`` orders running jobs by their start instead of newest first.
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
        """Return whether the jobs are ordered by their start: only what runs has one to go by."""
        return self.longest_first and self.statuses == (JobStatus.RUNNING,)

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(filter(None, (self.tag, self.also_tag)))

    @property
    def only_failed(self) -> bool:
        return any(criterion is not None for criterion in (self.failed_since, self.error_group, self.error_text))


J = TypeVar("J", JobRun, sa.Row[Any])


@dataclass(frozen=True)
class JobPage(Generic[J]):
    """One page of jobs and the key at which the next one begins; ``None`` at the end.

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


def cap_count(count: int, cap: int) -> Count:
    """Return a count of which at most one more than ``cap`` was counted."""
    return Count(min(count, cap), count > cap)


def is_in(status: JobStatus) -> sa.ColumnElement[bool]:
    """Compare the status with one written in the statement itself: only so does an index over one status serve it."""
    return JobRun.status == sa.bindparam(None, status, JobRun.status.type, unique=True, literal_execute=True)


def _select_tagged(workspace_id: uuid.UUID, tag: str) -> sa.Select[uuid.UUID]:
    return sa.select(JobTag.job_id).where(JobTag.workspace_id == workspace_id, JobTag.tag == tag)


def _find_common_tags(workspace_id: uuid.UUID, tags: Iterable[str]) -> frozenset[str]:
    """Return those of the tags that more than ``COMMON_TAG`` jobs carry."""
    # From the newest on: what was deleted lately stands at the other end, and would be passed over one by one.
    beyond = {tag: _select_tagged(workspace_id, tag).order_by(JobTag.job_id.desc()).offset(COMMON_TAG) for tag in tags}
    return frozenset(tag for tag, query in beyond.items() if db.session.scalar(query.limit(1)) is not None)


def build_conditions(
    workspace_id: uuid.UUID, job_filter: JobFilter, common_tags: frozenset[str] | None = None
) -> list[sa.ColumnElement[bool]]:
    """Return what must hold of a job. ``common_tags`` are the common ones of its tags, if they are known already."""
    if common_tags is None:
        common_tags = _find_common_tags(workspace_id, job_filter.tags)
    conditions = [JobRun.workspace_id == workspace_id]
    if job_filter.by_start:
        conditions += [is_in(JobStatus.RUNNING), JobRun.started_at.is_not(None)]
    elif job_filter.statuses:
        conditions.append(JobRun.status.in_(job_filter.statuses))
    if job_filter.type is not None:
        conditions.append(JobRun.type == job_filter.type)
    for tag in sorted(job_filter.tags):
        tagged = _select_tagged(workspace_id, tag)
        at_each = tagged.where(JobTag.job_id == JobRun.id).exists()
        conditions.append(at_each if tag in common_tags else JobRun.id.in_(tagged))
    if job_filter.created_by is not None:
        conditions.append(JobRun.created_by == job_filter.created_by)
    # Ids sort by creation: a bound on them lets the index skip what lies outside.
    if job_filter.created_after is not None:
        conditions += [JobRun.created_at > job_filter.created_after, JobRun.id >= first_id(job_filter.created_after)]
    if job_filter.created_before is not None:
        conditions += [JobRun.created_at < job_filter.created_before, JobRun.id < first_id(job_filter.created_before)]
    if job_filter.ids is not None:
        conditions.append(JobRun.id.between(*job_filter.ids))
    if job_filter.failed_since is not None:
        conditions += [is_in(JobStatus.FAILED), JobRun.completed_at >= job_filter.failed_since]
    if job_filter.error_group is not None:
        conditions += [is_in(JobStatus.FAILED), JobRun.error_group == job_filter.error_group]
    if job_filter.error_text is not None:
        newest = sa.select(JobRun.id, JobRun.error).where(*conditions, is_in(JobStatus.FAILED))
        newest_first = newest.order_by(JobRun.id.desc()).limit(ERRORS_SEARCHED).subquery().c
        matching = sa.select(newest_first.id).where(casefold.contains(newest_first.error, job_filter.error_text))
        conditions = [JobRun.workspace_id == workspace_id, JobRun.id.in_(matching)]
    return conditions


def _from_cursor(query: _Query, job_filter: JobFilter, cursor: uuid.UUID | None, started: datetime | None) -> _Query:
    """Return the query in its order, from behind a key on."""
    if job_filter.by_start:
        if cursor is not None and started is not None:
            query = query.where(sa.tuple_(JobRun.started_at, JobRun.id) > sa.tuple_(started, cursor))
        return query.order_by(JobRun.started_at, JobRun.id)
    if cursor is not None:
        query = query.where(JobRun.id < cursor)
    return query.order_by(JobRun.id.desc())


def list_jobs(
    workspace_id: uuid.UUID,
    job_filter: JobFilter,
    *,
    limit: int,
    cursor: uuid.UUID | None = None,
    started: datetime | None = None,
) -> JobPage[JobRun]:
    """Return the first ``limit`` matching jobs, or those behind ``cursor``. A job that is gone breaks no cursor.

    ``started`` is the other half of the cursor where jobs are ordered by their start.
    """
    query = sa.select(JobRun).where(*build_conditions(workspace_id, job_filter)).options(_WITHOUT_TEXTS)
    query = _from_cursor(query, job_filter, cursor, started).limit(limit + 1).execution_options(populate_existing=True)
    return _to_page(db.session.scalars(query).all(), job_filter, limit)


def list_records(
    workspace_id: uuid.UUID, job_filter: JobFilter, *, limit: int, cursor: uuid.UUID | None = None
) -> JobPage[sa.Row[Any]]:
    """Return the same as rows with the fields of the record, errors among them, but for payload and result.

    Objects of the session cost more than half again, and whoever only prints jobs has no use for them. Newest first.
    Where errors are long, a page ends before ``limit``: together they have at most ``ERRORS_SIZE``.
    """
    query = sa.select(*_RECORD_COLUMNS).where(*build_conditions(workspace_id, job_filter))
    rows = db.session.execute(_from_cursor(query, job_filter, cursor, None).limit(limit + 1)).all()
    fitting = fit_page(rows[:limit], lambda job: measure_json(job.error) if job.error else 0, ERRORS_SIZE)
    return _to_page(rows, job_filter, len(fitting) or limit)


def _to_page(rows: Sequence[J], job_filter: JobFilter, limit: int) -> JobPage[J]:
    jobs, has_more = split_page(rows, limit)
    if not has_more:
        return JobPage(jobs, None)
    return JobPage(jobs, jobs[-1].id, jobs[-1].started_at if job_filter.by_start else None)


def list_versions(
    workspace_id: uuid.UUID,
    job_filter: JobFilter,
    *,
    limit: int,
    cursor: uuid.UUID | None = None,
    started: datetime | None = None,
) -> Sequence[tuple[uuid.UUID, int]]:
    """Return the ids and versions of a page and of the job after it: equal pairs mean an equal page, far cheaper."""
    query = sa.select(JobRun.id, JobRun.version).where(*build_conditions(workspace_id, job_filter))
    rows = db.session.execute(_from_cursor(query, job_filter, cursor, started).limit(limit + 1))
    return [(row.id, row.version) for row in rows]


def count_by_status(
    workspace_id: uuid.UUID, job_filter: JobFilter, *, sample: int | None = None
) -> Mapping[JobStatus, Count]:
    """Count the jobs of each status that match, whatever statuses the filter names; counting stops at ``COUNT_CAP``.

    With a tag that is common it stops after ``sample`` (``COMMON_TAG_SAMPLE``) of the jobs that all else leaves of a
    status: the count may then be less than ``COUNT_CAP``, and means at least that many.
    """
    job_filter = replace(job_filter, statuses=())
    common_tags = _find_common_tags(workspace_id, job_filter.tags)
    if job_filter.error_text is None and common_tags:
        return _count_in_sample(workspace_id, job_filter, sample or COMMON_TAG_SAMPLE)
    conditions = build_conditions(workspace_id, job_filter, common_tags)
    statuses = [JobStatus.FAILED] if job_filter.only_failed else list(JobStatus)
    # Not even the id: it is in neither index over type or maker and status, and each row would be looked up for it.
    matching = _order_for_count(sa.select(sa.literal_column("1")).select_from(JobRun).where(*conditions), job_filter)
    counts = [
        sa.select(sa.func.count())
        .select_from(matching.where(JobRun.status == status).limit(COUNT_CAP + 1).subquery())
        .scalar_subquery()
        for status in statuses
    ]
    by_status = dict(zip(statuses, db.session.execute(sa.select(*counts)).one(), strict=True))
    return {status: cap_count(by_status.get(status, 0), COUNT_CAP) for status in JobStatus}


def _order_for_count(jobs: sa.Select[Any], job_filter: JobFilter) -> sa.Select[Any]:
    """Return jobs in the order in which a status is counted up to a cap.

    From the newest on: PostgreSQL passes over what retention has just deleted at the other end, one by one. But in no
    order where another index serves than that by status, for an order would lead past it.
    """
    by_another_index = job_filter.type or job_filter.created_by or job_filter.only_failed or job_filter.tags
    return jobs if by_another_index else jobs.order_by(JobRun.id.desc())


def _count_in_sample(workspace_id: uuid.UUID, job_filter: JobFilter, sample: int) -> Mapping[JobStatus, Count]:
    untagged = replace(job_filter, tag=None, also_tag=None)
    others = _order_for_count(sa.select(JobRun.id).where(*build_conditions(workspace_id, untagged)), untagged)
    counts = []
    for status in JobStatus:
        job = others.where(JobRun.status == status).limit(sample + 1).subquery().c
        # A query for a value, and not "exists": of that PostgreSQL makes a join, and reads all that carry the tag.
        tagged = [_select_tagged(workspace_id, tag).where(JobTag.job_id == job.id) for tag in sorted(job_filter.tags)]
        has_all = sa.and_(*(one.scalar_subquery().is_not(None) for one in tagged))
        counts.append(sa.select(sa.literal(status.value), sa.func.count(job.id), sa.func.count(sa.case((has_all, 1)))))
    by_status = {
        status: Count(min(matched, COUNT_CAP), matched > COUNT_CAP or sampled > sample)
        for status, sampled, matched in db.session.execute(sa.union_all(*counts))
    }
    return {status: by_status[status.value] for status in JobStatus}


def iterate_records(workspace_id: uuid.UUID, job_filter: JobFilter, *, page_size: int) -> Iterator[sa.Row[Any]]:
    """Yield all matching jobs as records, newest first, in the memory of one page.

    Each page is read by itself, and its transaction has ended before the first of its jobs is handed on: SQLite cannot
    tidy its log behind a reader that takes its time.
    """
    if job_filter.error_text is not None:
        yield from _iterate_found(workspace_id, job_filter, page_size)
        return
    cursor = None
    while True:
        page = list_records(workspace_id, job_filter, limit=page_size, cursor=cursor)
        db.session.commit()
        yield from page.jobs
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _iterate_found(workspace_id: uuid.UUID, job_filter: JobFilter, page_size: int) -> Iterator[sa.Row[Any]]:
    """Yield the jobs whose errors hold a text: searched once, and not again for each page."""
    ids = list_ids(workspace_id, job_filter, limit=ERRORS_SEARCHED)
    for start in range(0, len(ids), page_size):
        page = JobRun.workspace_id == workspace_id, JobRun.id.in_(ids[start : start + page_size])
        jobs = db.session.execute(sa.select(*_RECORD_COLUMNS).where(*page).order_by(JobRun.id.desc())).all()
        db.session.commit()
        yield from jobs


def list_ids(
    workspace_id: uuid.UUID, job_filter: JobFilter, *, limit: int, up_to: uuid.UUID | None = None
) -> Sequence[uuid.UUID]:
    """Return the ids of the first ``limit`` matching jobs; with ``up_to`` of none that is newer."""
    query = sa.select(JobRun.id).where(*build_conditions(workspace_id, job_filter))
    if up_to is not None:
        query = query.where(JobRun.id <= up_to)
    return db.session.scalars(_from_cursor(query, job_filter, None, None).limit(limit)).all()


def by_ids(workspace_id: uuid.UUID, job_ids: Sequence[uuid.UUID]) -> Sequence[JobRun]:
    """Return those of these jobs that are this workspace's, newest first."""
    query = sa.select(JobRun).where(JobRun.workspace_id == workspace_id, JobRun.id.in_(job_ids))
    return db.session.scalars(query.options(_WITHOUT_TEXTS).order_by(JobRun.id.desc())).all()


def restrict_to_cancelable(job_filter: JobFilter) -> JobFilter:
    """Narrow a filter to what a cancel would move; newest first."""
    statuses = [status for status in JobStatus if status in predecessors(JobStatus.CANCELED)]
    if job_filter.statuses:
        statuses = [status for status in statuses if status in job_filter.statuses]
    # An empty tuple would mean every status: what has finished alone matches nothing that can be canceled.
    matches_nothing = not statuses or job_filter.only_failed
    ids = (LAST_ID, FIRST_ID) if matches_nothing else job_filter.ids
    return replace(job_filter, statuses=tuple(statuses), ids=ids, error_text=None, longest_first=False)


def list_types(workspace_id: uuid.UUID) -> Sequence[str]:
    """Return the types of job in a workspace, by name, the first ``TYPES_SHOWN``.

    Leaps from one type to the next in the index; DISTINCT would read every row of the workspace.
    """
    in_workspace = JobRun.workspace_id == workspace_id
    first = sa.select(sa.func.min(JobRun.type).label("type"), sa.literal(1).label("n")).where(in_workspace)
    types = first.cte("types", recursive=True)
    following = sa.select(sa.func.min(JobRun.type)).where(in_workspace, JobRun.type > types.c.type).scalar_subquery()
    types = types.union_all(
        sa.select(following, types.c.n + 1).where(types.c.type.is_not(None), types.c.n < TYPES_SHOWN)
    )
    return db.session.scalars(sa.select(types.c.type).where(types.c.type.is_not(None)).order_by(types.c.n)).all()


def groups_by_fingerprint(workspace_id: uuid.UUID, fingerprints: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """Return the type, and the pattern of the error, of each fingerprint that failed jobs of this workspace have."""
    if not fingerprints:
        return {}
    jobs = sa.select(JobRun.error_group, JobRun.type, JobRun.error).where(JobRun.workspace_id == workspace_id)
    newest = [
        jobs.where(is_in(JobStatus.FAILED), JobRun.error_group == fingerprint)
        .order_by(JobRun.id.desc())
        .limit(1)
        .subquery()
        for fingerprint in sorted(fingerprints)
    ]
    rows = db.session.execute(sa.union_all(*(sa.select(one) for one in newest)))
    return {row.error_group: (row.type, error_groups.make_pattern(row.error)) for row in rows}
