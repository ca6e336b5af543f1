"""Reads a workspace over time: how many jobs ended when, how long they took, what fails most, what has run longest.

Every figure is read from an index alone. The counts are exact. Percentiles and groups of failures are those of the
newest ``SAMPLE_SIZE`` jobs of the range, so that they cost the same at a million jobs; where there were more, they say
so.
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

SAMPLE_SIZE = 10_000
TYPES_SHOWN = 20
GROUPS_SHOWN = 10
LONGEST_SHOWN = 10

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_COLUMNS = {
    JobStatus.COMPLETED: JobRun.completed_at,
    JobStatus.FAILED: JobRun.completed_at,
    JobStatus.CANCELED: JobRun.canceled_at,
}


class Range(StrEnum):
    """How far back an overview goes, from now to the beginning of a bucket."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def width(self) -> timedelta:
        """Return what one bucket covers. Each begins at a whole multiple of it, in UTC."""
        return {
            Range.HOUR: timedelta(minutes=1),
            Range.DAY: timedelta(minutes=30),
            Range.WEEK: timedelta(hours=3),
        }[self]

    def buckets(self, now: datetime) -> Sequence[datetime]:
        """Return when each bucket begins, oldest first; the last one is under way."""
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

    fingerprint: str
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
        """Return how many jobs are in the groups that are not among these."""
        return self.jobs - sum(group.jobs for group in self.groups)


@dataclass(frozen=True)
class Overview:
    """A workspace at the time at which it was read; ``longest`` are the jobs that run longest."""

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
        """Return how many jobs reached each final status in the whole range."""
        return {status: sum(bucket.ended[status] for bucket in self.buckets) for status in _END_COLUMNS}

    @property
    def durations_are_capped(self) -> bool:
        """Return whether more jobs completed than the newest ones, whose durations are shown."""
        return self.durations.jobs < self.ended[JobStatus.COMPLETED]

    @property
    def failures_are_capped(self) -> bool:
        """Return whether more jobs failed than the newest ones, which are grouped."""
        return self.failures.since > self.since

    @property
    def versions(self) -> tuple[object, ...]:
        """Return what differs whenever overviews differ."""
        return self.buckets, self.durations, self.failures, [(job.id, job.version) for job in self.longest]


def get_overview(workspace_id: uuid.UUID, range: Range) -> Overview:
    """Return the overview of a workspace, up to now."""
    starts = range.buckets(clock.now())
    running = JobFilter(statuses=(JobStatus.RUNNING,), longest_first=True)
    return Overview(
        range=range,
        buckets=_count_buckets(workspace_id, starts, range.width),
        durations=_read_durations(workspace_id, starts[0]),
        failures=_group_failures(workspace_id, starts[0]),
        longest=listing.list_jobs(workspace_id, running, limit=LONGEST_SHOWN).jobs,
    )


def _select_newest(
    workspace_id: uuid.UUID, status: JobStatus, since: datetime, *columns: Any
) -> sa.Select[tuple[Any, ...]]:
    """Select jobs that completed or failed from a time on, the latest first.

    Ids sort by creation, and this does not.
    """
    return (
        sa.select(*columns)
        .where(JobRun.workspace_id == workspace_id, is_in(status), JobRun.completed_at >= since)
        .order_by(JobRun.completed_at.desc())
    )


# --- counts ------------------------------------------------------------------------------------------------------


def _count_buckets(workspace_id: uuid.UUID, starts: Sequence[datetime], width: timedelta) -> Sequence[Bucket]:
    bounds = {f"since_{number}": since for number, since in enumerate(starts)}
    bounds |= {f"until_{number}": since + width for number, since in enumerate(starts)}
    rows = db.session.execute(_count_statement(len(starts)), bounds | {"within": workspace_id})
    by_start = {row.since: row._mapping for row in rows}
    return [Bucket(since, {status: by_start[since][status.value] for status in _END_COLUMNS}) for since in starts]


@cache
def _count_statement(buckets: int) -> sa.Select[tuple[Any, ...]]:
    """Count along the indexes, bucket by bucket; to group would be to compute something for every job.

    The bounds are written as text: SQLAlchemy would write its own list of values anew each time, which takes
    milliseconds.
    """
    time_type = JobRun.created_at.type
    names = [(f"since_{number}", f"until_{number}") for number in range(buckets)]
    values = sa.text("VALUES " + ", ".join(f"(:{since}, :{until})" for since, until in names))
    values = values.bindparams(*(sa.bindparam(name, type_=time_type) for pair in names for name in pair))
    bound = values.columns(sa.column("column1", time_type), sa.column("column2", time_type)).cte("bounds").c
    in_workspace = JobRun.workspace_id == sa.bindparam("within", type_=JobRun.workspace_id.type)
    counts = [
        sa.select(sa.func.count())
        .select_from(JobRun)
        .where(in_workspace, is_in(status), end >= bound.column1, end < bound.column2)
        .scalar_subquery()
        .label(status.value)
        for status, end in _END_COLUMNS.items()
    ]
    return sa.select(bound.column1.label("since"), *counts)


# --- durations ---------------------------------------------------------------------------------------------------


def _read_durations(workspace_id: uuid.UUID, since: datetime) -> Durations:
    """Read the durations of the newest jobs and sort them here:

    the database would order them twice, and take longer.
    """
    newest = _select_newest(workspace_id, JobStatus.COMPLETED, since, JobRun.type, durations.duration_seconds()).limit(
        SAMPLE_SIZE
    )
    seconds_by_type: dict[str, list[float]] = {}
    for type, seconds in db.session.execute(newest):
        seconds_by_type.setdefault(type, []).append(seconds)
    types = sorted(seconds_by_type, key=lambda type: (-len(seconds_by_type[type]), type))
    shown = [_to_duration(type, sorted(seconds_by_type[type])) for type in types[:TYPES_SHOWN]]
    return Durations(shown, sum(map(len, seconds_by_type.values())), len(types) - len(shown))


def _to_duration(type: str, seconds: Sequence[float]) -> Duration:
    return Duration(type, len(seconds), _percentile(seconds, 50), _percentile(seconds, 95))


def _percentile(seconds: Sequence[float], percent: int) -> timedelta:
    """Return the shortest of the sorted durations that so many percent of all are no longer than."""
    shortest = seconds[(len(seconds) * percent + 99) // 100 - 1]
    return timedelta(seconds=max(round(shortest, 3), 0))


# --- failures ----------------------------------------------------------------------------------------------------


def _group_failures(workspace_id: uuid.UUID, since: datetime) -> Failures:
    """Group the failures from a time on, and not a number of them: so a list since that time shows the same jobs."""
    one_too_many = (
        _select_newest(workspace_id, JobStatus.FAILED, since, JobRun.completed_at).offset(SAMPLE_SIZE).limit(1)
    )
    if (beyond := db.session.scalar(one_too_many)) is not None:
        later = JobRun.completed_at > beyond
        has_failed = JobRun.workspace_id == workspace_id, is_in(JobStatus.FAILED)
        since = db.session.scalar(sa.select(sa.func.min(JobRun.completed_at)).where(*has_failed, later)) or beyond
    newest = _select_newest(workspace_id, JobStatus.FAILED, since, JobRun.error_group, JobRun.completed_at).subquery().c
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
        .limit(GROUPS_SHOWN)
    )
    rows = db.session.execute(query).all()
    if not rows:
        return Failures([], since)
    patterns = listing.groups_by_fingerprint(workspace_id, [row.error_group for row in rows])
    groups = [
        Group(row.error_group, row.jobs, row.first, row.last, *patterns[row.error_group])
        for row in rows
        if row.error_group in patterns
    ]
    return Failures(groups, since, int(rows[0].all_jobs), rows[0].all_groups - len(rows))
