"""A workspace over time: how many jobs ended when, how long they took, what fails most, what has run longest.

Every figure is read from an index alone. The counts are exact. Percentiles and groups of failures are those of the
newest ``SAMPLE`` jobs of the range, so that they cost the same at a million jobs; where there were more, they say so.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa

from webapp.core import clock
from webapp.core.database.session import db
from webapp.core.jobs import listing
from webapp.core.jobs.listing import JobFilter, is_in
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun
from webapp.core.stats import durations

SAMPLE = 10_000
TYPES = 20
GROUPS = 10
LONGEST = 10

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDED = {
    JobStatus.COMPLETED: JobRun.completed_at,
    JobStatus.FAILED: JobRun.completed_at,
    JobStatus.CANCELED: JobRun.canceled_at,
}


class Range(StrEnum):
    """How far back is looked, from now to the beginning of a bucket."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def width(self) -> timedelta:
        """What one bucket covers. Each begins at a whole multiple of it, in UTC."""
        return {
            Range.HOUR: timedelta(minutes=1),
            Range.DAY: timedelta(minutes=30),
            Range.WEEK: timedelta(hours=3),
        }[self]

    def buckets(self, now: datetime) -> Sequence[datetime]:
        """When each bucket begins, oldest first; the last one is under way."""
        count = {Range.HOUR: 60, Range.DAY: 48, Range.WEEK: 56}[self]
        last = now - (now - _EPOCH) % self.width
        return [last - self.width * back for back in reversed(range(count))]


@dataclass(frozen=True)
class Bucket:
    """How many jobs reached each final status from ``since`` on, for the width of the range."""

    since: datetime
    ended: Mapping[JobStatus, int]


@dataclass(frozen=True)
class Duration:
    """How long completed jobs of a type took: half of them no longer than ``median``, 95 of 100 than ``p95``."""

    type: str
    jobs: int
    median: timedelta
    p95: timedelta


@dataclass(frozen=True)
class Durations:
    """The types of which most jobs completed, of how many jobs in all, and how many types there are besides."""

    types: Sequence[Duration]
    jobs: int = 0
    more_types: int = 0


@dataclass(frozen=True)
class Group:
    """Failed jobs of one type whose errors say the same; ``pattern`` is what they say, empty where there is no error.

    ``first`` and ``last`` are when the first and the last of them failed.
    """

    mark: str
    jobs: int
    first: datetime
    last: datetime
    type: str
    pattern: str


@dataclass(frozen=True)
class Failures:
    """The largest groups of the jobs that failed from ``since`` on, of how many jobs and groups in all."""

    groups: Sequence[Group]
    since: datetime
    jobs: int = 0
    more_groups: int = 0

    @property
    def more_jobs(self) -> int:
        """How many jobs are in the groups that are not among these."""
        return self.jobs - sum(group.jobs for group in self.groups)


@dataclass(frozen=True)
class Overview:
    """What stood in a workspace at the moment at which it was read; ``longest`` are the jobs that run longest."""

    range: Range
    buckets: Sequence[Bucket]
    durations: Durations
    failures: Failures
    longest: Sequence[JobRun]

    @property
    def since(self) -> datetime:
        return self.buckets[0].since

    @property
    def ended(self) -> Mapping[JobStatus, int]:
        """How many jobs reached each final status in the whole range."""
        return {status: sum(bucket.ended[status] for bucket in self.buckets) for status in _ENDED}

    @property
    def durations_are_capped(self) -> bool:
        """Whether more jobs completed than the newest ones, whose durations are told."""
        return self.durations.jobs < self.ended[JobStatus.COMPLETED]

    @property
    def failures_are_capped(self) -> bool:
        """Whether more jobs failed than the newest ones, which are grouped."""
        return self.failures.since > self.since

    @property
    def versions(self) -> tuple[object, ...]:
        """Two equal answers mean equal overviews."""
        return self.buckets, self.durations, self.failures, [(job.id, job.version) for job in self.longest]


def read(workspace_id: uuid.UUID, span: Range) -> Overview:
    """The overview of a workspace, up to now."""
    starts = span.buckets(clock.now())
    running = JobFilter(statuses=(JobStatus.RUNNING,), longest_first=True)
    return Overview(
        range=span,
        buckets=_buckets(workspace_id, starts, span.width),
        durations=_durations(workspace_id, starts[0]),
        failures=_failures(workspace_id, starts[0]),
        longest=listing.one_page(workspace_id, running, limit=LONGEST).jobs,
    )


def _newest(workspace_id: uuid.UUID, status: JobStatus, since: datetime, *columns: Any) -> sa.Select[tuple[Any, ...]]:
    """Jobs that completed or failed from a moment on, the latest first. Ids sort by creation, and this does not."""
    return (
        sa.select(*columns)
        .where(JobRun.workspace_id == workspace_id, is_in(status), JobRun.completed_at >= since)
        .order_by(JobRun.completed_at.desc())
    )


# --- counts ------------------------------------------------------------------------------------------------------


def _buckets(workspace_id: uuid.UUID, starts: Sequence[datetime], width: timedelta) -> Sequence[Bucket]:
    bounds = {f"since_{number}": since for number, since in enumerate(starts)}
    bounds |= {f"until_{number}": since + width for number, since in enumerate(starts)}
    rows = db.session.execute(_counting(len(starts)), bounds | {"within": workspace_id})
    found = {row.since: row._mapping for row in rows}
    return [Bucket(since, {status: found[since][status.value] for status in _ENDED}) for since in starts]


@cache
def _counting(buckets: int) -> sa.Select[tuple[Any, ...]]:
    """Counts along the indexes, bucket by bucket; to group would be to compute something for every job.

    The bounds are said as text: SQLAlchemy would write its own list of values anew each time, which takes milliseconds.
    """
    moment = JobRun.created_at.type
    names = [(f"since_{number}", f"until_{number}") for number in range(buckets)]
    listed = sa.text("VALUES " + ", ".join(f"(:{since}, :{until})" for since, until in names))
    listed = listed.bindparams(*(sa.bindparam(name, type_=moment) for pair in names for name in pair))
    bound = listed.columns(sa.column("column1", moment), sa.column("column2", moment)).cte("bounds").c
    mine = JobRun.workspace_id == sa.bindparam("within", type_=JobRun.workspace_id.type)
    counts = [
        sa.select(sa.func.count())
        .select_from(JobRun)
        .where(mine, is_in(status), end >= bound.column1, end < bound.column2)
        .scalar_subquery()
        .label(status.value)
        for status, end in _ENDED.items()
    ]
    return sa.select(bound.column1.label("since"), *counts)


# --- durations ---------------------------------------------------------------------------------------------------


def _durations(workspace_id: uuid.UUID, since: datetime) -> Durations:
    """Sorted here: the database has to order them twice for the same, and takes longer."""
    newest = _newest(workspace_id, JobStatus.COMPLETED, since, JobRun.type, durations.seconds()).limit(SAMPLE)
    took: dict[str, list[float]] = {}
    for type, seconds in db.session.execute(newest):
        took.setdefault(type, []).append(seconds)
    types = sorted(took, key=lambda type: (-len(took[type]), type))
    shown = [_duration(type, sorted(took[type])) for type in types[:TYPES]]
    return Durations(shown, sum(map(len, took.values())), len(types) - len(shown))


def _duration(type: str, took: Sequence[float]) -> Duration:
    return Duration(type, len(took), _reached(took, 50), _reached(took, 95))


def _reached(took: Sequence[float], percent: int) -> timedelta:
    """The shortest of the durations, in their order, that so many percent of all are no longer than."""
    seconds = took[(len(took) * percent + 99) // 100 - 1]
    return timedelta(seconds=max(round(seconds, 3), 0))


# --- failures ----------------------------------------------------------------------------------------------------


def _failures(workspace_id: uuid.UUID, since: datetime) -> Failures:
    """The groups begin at a moment, and not at a number of jobs: so a list since that moment shows the same jobs."""
    one_too_many = _newest(workspace_id, JobStatus.FAILED, since, JobRun.completed_at).offset(SAMPLE).limit(1)
    if (beyond := db.session.scalar(one_too_many)) is not None:
        later = JobRun.completed_at > beyond
        mine = JobRun.workspace_id == workspace_id, is_in(JobStatus.FAILED)
        since = db.session.scalar(sa.select(sa.func.min(JobRun.completed_at)).where(*mine, later)) or beyond
    newest = _newest(workspace_id, JobStatus.FAILED, since, JobRun.error_group, JobRun.completed_at).subquery().c
    query = (
        sa.select(
            newest.error_group,
            sa.func.count().label("jobs"),
            sa.func.min(newest.completed_at).label("first"),
            sa.func.max(newest.completed_at).label("last"),
            sa.func.sum(sa.func.count()).over().label("all_jobs"),
            sa.func.count().over().label("all_groups"),
        )
        .where(newest.error_group.is_not(None))
        .group_by(newest.error_group)
        .order_by(sa.desc("jobs"), sa.desc("last"), newest.error_group)
        .limit(GROUPS)
    )
    rows = db.session.execute(query).all()
    if not rows:
        return Failures([], since)
    said = listing.alike(workspace_id, [row.error_group for row in rows])
    groups = [
        Group(row.error_group, row.jobs, row.first, row.last, *said[row.error_group])
        for row in rows
        if row.error_group in said
    ]
    return Failures(groups, since, int(rows[0].all_jobs), rows[0].all_groups - len(rows))
