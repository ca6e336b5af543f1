"""Makes up a fortnight of jobs, so that the pages of a board can be seen full. Never for a workspace at real work.

Written by ``jobs.record_past`` in the order of creation and in batches: a million jobs take the memory of a thousand.
The same seed makes the same fortnight, as seen from the time at which it is made; ids alone are new each time.
"""

import math
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from webapp.core import audit, clock, jobs
from webapp.core.audit import Actor
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs import PastJob
from webapp.core.lifecycle import FailureReason, JobStatus
from webapp.core.workspaces import tokens

SPAN = timedelta(days=14)
SLOT = timedelta(minutes=20)
BATCH_SIZE = 1_000
"""Jobs written in one transaction, after which others write."""
CREATORS = ("Web shop", "Nightly cron")
"""The tokens that seem to have created the jobs; nobody ever holds their secrets."""
MAX_JOBS = 10_000_000
LIVE_JOBS = 24
"""How many of the newest jobs wait or run whatever their time, or a small fortnight would have none."""
STUCK_JOBS = 3
"""How many have been running for hours."""


@dataclass(frozen=True)
class Kind:
    """A type of job: its share of all, its usual duration in seconds, how often it fails and is canceled."""

    type: str
    share: float
    seconds: float
    fails: float
    canceled: float = 0.01
    spread: float = 0.5
    creator: int = 0
    queue: str = "default"
    max_duration: int | None = None
    errors: tuple[str, ...] = ()


_TRACE = (
    'Traceback (most recent call last):\n  File "/srv/app/tasks/{module}.py", line {line}, in run\n    handle(item)\n'
)
KINDS = (
    Kind(
        "send-receipt",
        0.34,
        1.4,
        0.012,
        canceled=0.002,
        queue="mail",
        errors=(
            "SMTPServerDisconnected: 451 4.7.1 <customer{n}@example.com>: try again later (session {hex8})",
            "SMTPRecipientsRefused: 550 5.1.1 <customer{n}@example.com>: no such user here",
        ),
    ),
    Kind(
        "sync-inventory",
        0.24,
        9,
        0.03,
        creator=1,
        queue="sync",
        errors=(
            "ReadTimeout: HTTPSConnectionPool(host='warehouse.example.com', port=443): "
            "Read timed out. (read timeout=30) request {uuid}",
            _TRACE.format(module="inventory", line="{line}") + "KeyError: 'SKU-{n}'",
        ),
    ),
    Kind(
        "resize-image",
        0.2,
        3.2,
        0.02,
        spread=0.8,
        queue="media",
        errors=(
            "UnidentifiedImageError: cannot identify image file '/srv/uploads/{n}/{hex8}.heic'",
            "MemoryError: worker at 0x7f{hex8} wanted {n} bytes",
        ),
    ),
    Kind(
        "charge-card",
        0.1,
        2.1,
        0.045,
        canceled=0.003,
        queue="payments",
        errors=(
            "CardDeclined: charge {uuid} of order {n}: insufficient funds",
            "DeadlockDetected: deadlock detected\nDETAIL: Process {n} waits for ShareLock on transaction {big}; "
            "blocked by process {m}.",
        ),
    ),
    Kind(
        "generate-report",
        0.07,
        95,
        0.06,
        canceled=0.05,
        spread=0.7,
        creator=1,
        queue="reports",
        errors=(
            "FileNotFoundError: [Errno 2] No such file or directory: '/srv/exports/{day}/part-{m}.csv'",
            _TRACE.format(module="report", line="{line}") + 'ValueError: month {m} has no figures for customer "{n}"',
        ),
    ),
    Kind(
        "reindex-search",
        0.03,
        340,
        0.05,
        canceled=0.08,
        creator=1,
        queue="slow",
        max_duration=900,
        errors=("ClusterBlockException: index products-{n} blocked, disk usage {m} % exceeded flood-stage watermark",),
    ),
    Kind(
        "nightly-backup",
        0.015,
        1500,
        0.09,
        spread=0.3,
        creator=1,
        queue="slow",
        max_duration=3600,
        errors=("OSError: [Errno 28] No space left on device: '/backup/{day}/dump-{hex8}.zst'",),
    ),
    Kind("import-catalog", 0.005, 620, 0.12, canceled=0.1, creator=1, queue="slow", errors=("BadZipFile: line {n}",)),
)
_SHARES = [kind.share for kind in KINDS]


def seed(workspace_id: uuid.UUID, count: int, *, seed: int, by: Actor) -> Iterator[int]:
    """Write a fortnight of ``count`` jobs that ends now, batch by batch. Yields how many are written so far."""
    with write_transaction() as session:
        resource, detail = f"workspace:{workspace_id}", {"jobs": count, "seed": seed}
        audit.record(session, "demo.seeded", resource, by=by, workspace_id=workspace_id, detail=detail)
    written = 0
    past_jobs = make_fortnight(count, seed=seed, until=clock.now(), creators=_list_creators(workspace_id, by))
    while batch := list(islice(past_jobs, BATCH_SIZE)):
        jobs.record_past(workspace_id, batch)
        written += len(batch)
        yield written


def _list_creators(workspace_id: uuid.UUID, by: Actor) -> Sequence[str]:
    """Return the references of ``CREATORS``; those that an earlier fortnight left are used again."""
    refs = {token.name: token.ref for token in tokens.list_tokens(workspace_id)}
    for name in CREATORS:
        if name not in refs:
            refs[name] = tokens.create_unchecked(workspace_id, name, by=by)[0].ref
    return [refs[name] for name in CREATORS]


# --- the fortnight -----------------------------------------------------------------------------------------------


def make_fortnight(count: int, *, seed: int, until: datetime, creators: Sequence[str]) -> Iterator[PastJob]:
    """Yield ``count`` jobs of the fortnight up to a time, in the order of their creation."""
    dice = random.Random(seed)  # noqa: S311 - a made-up fortnight is no secret
    since = until - SPAN
    slots = [since + SLOT * number for number in range(int(SPAN / SLOT))]
    weights = [_activity_at(slot) for slot in slots]
    # One night a supplier is away, and what depends on it is tried over and over.
    burst = range(len(slots) * 9 // 14, len(slots) * 9 // 14 + 6)
    for number in burst:
        weights[number] += sum(weights) / len(weights)
    live = range(count - min(LIVE_JOBS, count // 8), count)
    stuck = {count - count * nth // 150 - 1 for nth in range(1, STUCK_JOBS + 1)} if count > 1_000 else set()
    position, weight_so_far, total_weight = 0, 0.0, sum(weights)
    for number, (slot, weight) in enumerate(zip(slots, weights, strict=True)):
        first, weight_so_far = round(count * weight_so_far / total_weight), weight_so_far + weight
        last = round(count * weight_so_far / total_weight)
        for offset in sorted(dice.random() for _ in range(last - first)):
            created_at = slot + SLOT * offset
            if position in live or position in stuck:
                yield _make_live_job(dice, created_at, until, creators, stuck=position in stuck)
            else:
                yield _make_job(dice, created_at, until, creators, burst=number in burst)
            position += 1


def _activity_at(at: datetime) -> float:
    """Return how much goes on: by day more than by night, at the weekend half as much."""
    by_day = 1.3 - math.cos((at.hour + at.minute / 60 - 3) / 24 * math.tau)
    return by_day * (0.5 if at.weekday() >= 5 else 1)


def _make_live_job(
    dice: random.Random, at: datetime, until: datetime, creators: Sequence[str], *, stuck: bool
) -> PastJob:
    kind = KINDS[5] if stuck else _choose_kind(dice)
    created = _created_fields(dice, kind, at, creators)
    if not stuck and dice.random() < 0.5:
        return PastJob(**created, status=JobStatus.PENDING)
    return PastJob(**created, **_started_fields(dice, kind, at, until), **_running_fields(dice.randrange(3, 97)))


def _make_job(dice: random.Random, at: datetime, until: datetime, creators: Sequence[str], *, burst: bool) -> PastJob:
    supplier_away = burst and dice.random() < 0.5
    kind = KINDS[1] if supplier_away else _choose_kind(dice)
    seconds = kind.seconds * dice.lognormvariate(0, kind.spread)
    status, odds = JobStatus.COMPLETED, dice.random()
    if odds < (0.8 if supplier_away else kind.fails):
        status, seconds = JobStatus.FAILED, seconds * dice.uniform(0.1, 1.1)
    elif odds > 1 - kind.canceled:
        status, seconds = JobStatus.CANCELED, seconds * dice.uniform(0.1, 0.9)
    timed_out = kind.max_duration is not None and seconds >= kind.max_duration
    if kind.max_duration is not None and timed_out:
        status, seconds = JobStatus.FAILED, float(kind.max_duration)
    created = _created_fields(dice, kind, at, creators)
    started = at + timedelta(seconds=dice.expovariate(1 / (90 if supplier_away else 4)))
    if started >= until:
        return PastJob(**created, status=JobStatus.PENDING)
    started_fields = _started_fields(dice, kind, started, until)
    ended = started + timedelta(seconds=seconds)
    if ended >= until:
        return PastJob(
            **created, **started_fields, **_running_fields(int(99 * ((until - started) / (ended - started))))
        )
    ended_fields: dict[str, Any]
    match status:
        case JobStatus.COMPLETED:
            items = dice.randrange(1, 400)
            ended_fields = {
                "progress": 100,
                "message": f"{items} items",
                "result": {"items": items, "seconds": round(seconds, 1)},
            }
        case JobStatus.CANCELED:
            ended_fields = {"progress": dice.randrange(3, 97), "canceled_by": creators[kind.creator]}
        case _:
            reason = FailureReason.TIMED_OUT if timed_out else FailureReason.ERROR
            # The board itself ends what runs too long, in its own words.
            error = (
                f"It ran longer than its limit of {kind.max_duration} s."
                if timed_out
                else _make_error(dice, kind, at, supplier_away)
            )
            ended_fields = {"progress": dice.randrange(3, 97), "error": error, "failure_reason": reason}
    return PastJob(**created, **started_fields, status=status, ended_at=ended, **ended_fields)


def _choose_kind(dice: random.Random) -> Kind:
    return dice.choices(KINDS, _SHARES)[0]


def _created_fields(dice: random.Random, kind: Kind, at: datetime, creators: Sequence[str]) -> dict[str, Any]:
    """Return what was known when the job was created."""
    item = dice.randrange(1000, 99_999)
    return {
        "type": kind.type,
        "created_at": at,
        "created_by": creators[kind.creator],
        "payload": {"item": item, "region": dice.choice(("eu", "us"))},
        "max_duration": kind.max_duration,
        "tags": (kind.queue, *(tag for tag in ("eu", "us", "trial", "retry") if dice.random() < 0.12)),
        "link": f"https://runner.example.com/{kind.queue}/{item}" if dice.random() < 0.3 else None,
    }


def _started_fields(dice: random.Random, kind: Kind, started: datetime, until: datetime) -> dict[str, Any]:
    """Return what became known when a runner took the job."""
    return {"runner": f"worker-{kind.queue}-{dice.randrange(1, 4)}", "started_at": min(started, until)}


def _running_fields(progress: int) -> dict[str, Any]:
    return {"status": JobStatus.RUNNING, "progress": progress, "message": f"item {progress * 4} of 400"}


def _make_error(dice: random.Random, kind: Kind, at: datetime, supplier_away: bool) -> str:
    shape = kind.errors[0] if supplier_away or len(kind.errors) == 1 else dice.choices(kind.errors, (3, 1))[0]
    return shape.format(
        n=dice.randrange(100, 99_999),
        m=dice.randrange(10, 99),
        big=dice.randrange(10**6, 10**8),
        line=dice.choice((41, 57, 112)),
        day=f"{at:%Y-%m-%d}",
        hex8=f"{dice.getrandbits(32):08x}",
        uuid=uuid.UUID(int=dice.getrandbits(128), version=4),
    )
