"""What the board counts of its own work, for Prometheus. ``webapp.metrics`` shows it.

Labels take few values, all known beforehand: no series names a workspace, a token, a type or a job. What several
processes count adds up if ``PROMETHEUS_MULTIPROC_DIR`` names a folder that they share when this is imported.
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from webapp.core.lifecycle import FailureReason, JobStatus

# Each counter would have a second series, with the time of its birth; several processes have none.
disable_created_metrics()  # type: ignore[no-untyped-call]

registry = CollectorRegistry()

jobs_created = Counter(
    "callboard_jobs_created", "Jobs created, by what did it: a token, a user or the system.", ["by"], registry=registry
)
jobs_moved = Counter("callboard_jobs_moved", "Moves of jobs from one status to another.", ["to"], registry=registry)
jobs_failed = Counter(
    "callboard_jobs_failed",
    "Moves to failed, by who found it: the runner (error) or the board (timed_out, lost).",
    ["reason"],
    registry=registry,
)
job_updates = Counter(
    "callboard_job_updates",
    "Status updates by outcome: the status moved, something else was noted, nothing was new, no such job, or refused.",
    ["outcome"],
    registry=registry,
)
webhook_attempts = Counter(
    "callboard_webhook_attempts",
    "Attempts to deliver a message to a webhook: delivered, failed and tried again later, or given up.",
    ["outcome"],
    registry=registry,
)
chore_runs = Counter(
    "callboard_chore_runs", "Times that the board did a chore of its own.", ["chore", "outcome"], registry=registry
)
chore_last_done = Gauge(
    "callboard_chore_last_done_timestamp_seconds",
    "When a chore was last done.",
    ["chore"],
    registry=registry,
    multiprocess_mode="max",
)
process_starts = Counter(
    "callboard_process_starts",
    "Starts of processes: of those that answer requests, and of those that do the chores.",
    ["process"],
    registry=registry,
)

_KNOWN: Mapping[Counter, tuple[str, ...]] = {
    jobs_created: ("token", "user", "system"),
    jobs_moved: tuple(status for status in JobStatus if status is not JobStatus.PENDING),
    jobs_failed: tuple(FailureReason),
    job_updates: (
        "moved", "noted", "repeated", "not_found", "job_canceled", "job_timed_out", "illegal_transition",
    ),
    webhook_attempts: ("delivered", "failed", "given_up"),
    process_starts: ("server", "chores"),
}  # fmt: skip


def begin_at_zero() -> None:
    """Show every series from the start: a rate needs to see the first one come."""
    for counter, values in _KNOWN.items():
        for value in values:
            counter.labels(value)
