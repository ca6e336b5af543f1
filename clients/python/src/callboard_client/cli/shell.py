"""Show a board in a shell: ``callboard jobs`` and ``callboard watch``. Tables for people, JSON for programs."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from callboard_client.cli.terminal import ago, bar, clean, colored, columns, print_lines, table
from callboard_client.client import Client
from callboard_client.errors import BoardUnreachable, CallboardError, JobNotFound
from callboard_client.record import STATUSES, JobRecord, JobStatus

POLL_INTERVAL = 1.0
"""Seconds from one request to the next."""
BAR_COLUMNS = 110
"""Columns from which on a terminal has room for bars."""
MAX_WATCHED = 30
"""Live jobs that are shown on a terminal."""
MAX_ENDED = 5
"""Ended jobs below them."""


def list_jobs(
    client: Client, *, status: Sequence[JobStatus], type: str | None, tag: str | None, limit: int, as_json: bool
) -> int:
    """Print jobs, newest first."""
    jobs = list(client.list_jobs(status=status, type=type, tag=tag, limit=limit))
    if as_json:
        _print_json([job.to_json() for job in jobs])
    elif jobs:
        print_lines(_table(jobs))
    else:
        print_lines(["No matching jobs."], sys.stderr)
    return 0


def show(client: Client, job_id: str, *, as_json: bool) -> int:
    """Print one job with its history."""
    job = client.get_job_status(job_id)
    events = client.list_events(job_id)
    if as_json:
        _print_json({**job.to_json(), "events": events})
    else:
        print_lines(_details(job, events))
    return 0


def cancel(client: Client, job_ids: Sequence[str], *, as_json: bool) -> int:
    """Cancel jobs; return 1 if one of them could not be canceled."""
    refused = 0
    for job_id in job_ids:
        try:
            job = client.cancel_job(job_id)
        except BoardUnreachable:
            raise
        except CallboardError as error:
            refused += 1
            print_lines([f"{job_id}: {error}"], sys.stderr)
            continue
        if as_json:
            _print_json(job.to_json(), indent=None)
        else:
            print_lines([f"Canceled {job.id}. Its runner stops at its next report."])
    return 1 if refused else 0


def tail(client: Client, job_id: str, *, follow: bool, as_json: bool) -> int:
    """Print a job's log, and follow it until the job has ended; return 1 if it failed or was canceled."""
    after = 0
    while True:
        # In this order: what was logged before the end is read after the end was seen.
        job = client.get_job_status(job_id)
        while True:
            lines, last = client.list_log_lines(job_id, after)
            for line in lines:
                text = f"{line['at'][11:19]}  {clean(line['text'])}"
                _print_json(line, indent=None) if as_json else print_lines([text])
            if last == after or not lines:
                break
            after = last
        if job.is_final or not follow:
            break
        time.sleep(POLL_INTERVAL)
    if follow and not as_json:
        print_lines([f"The job is {job.status}."], sys.stderr)
    return 1 if follow and job.status in ("failed", "canceled") else 0


def watch(client: Client, *, type: str | None, tag: str | None, as_json: bool) -> int:
    """Show running and pending jobs until Ctrl-C: as bars on a terminal, else a line of JSON for each change."""
    try:
        if as_json:
            _print_changes(client, type, tag)
        else:
            _redraw(client, type, tag)
    except KeyboardInterrupt:
        return 0
    return 0


def _print_changes(client: Client, type: str | None, tag: str | None) -> None:
    seen: dict[str, JobRecord] = {}
    while True:
        try:
            live = {
                job.id: job for job in client.list_jobs(status=("running", "pending"), type=type, tag=tag, limit=500)
            }
            ended = [job for job_id in seen if job_id not in live for job in _find(client, job_id)]
        except BoardUnreachable as error:
            print_lines([f"callboard: {error} Trying again."], sys.stderr)
            continue
        for job in (*live.values(), *ended):
            if seen.get(job.id) != job:
                _print_json(job.to_json(), indent=None)
        seen = live
        time.sleep(POLL_INTERVAL)


def _find(client: Client, job_id: str) -> Iterator[JobRecord]:
    with suppress(JobNotFound):
        yield client.get_job_status(job_id)


def _redraw(client: Client, type: str | None, tag: str | None) -> None:
    drawn = 0
    while True:
        try:
            lines = list(_overview(client, type, tag))
        except BoardUnreachable as error:
            lines = [f"{error} Trying again."]
        if drawn:
            sys.stdout.write(f"\x1b[{drawn}F\x1b[J")
        print_lines(lines)
        drawn = len(lines)
        time.sleep(POLL_INTERVAL)


def _overview(client: Client, type: str | None, tag: str | None) -> Iterator[str]:
    counts = client.count_jobs()
    texts = (f"{counts[status]['count']:,}{'+' * counts[status]['capped']} {status}" for status in STATUSES)
    yield "  ".join(colored(text, status) for text, status in zip(texts, STATUSES, strict=True))
    live = list(client.list_jobs(status=("running", "pending"), type=type, tag=tag, limit=MAX_WATCHED))
    live.sort(key=lambda job: (job.status != "running", job.id))
    if live:
        yield from ("", *_table(live))
    ended = list(client.list_jobs(status=("completed", "failed", "canceled"), type=type, tag=tag, limit=MAX_ENDED))
    if ended:
        yield from ("", *_table(ended))


def _table(jobs: Sequence[JobRecord]) -> list[str]:
    wide = columns() >= BAR_COLUMNS
    rows = [
        (
            job.id,
            job.status,
            bar(job.progress) if wide else f"{job.progress:>3} %",
            clean(job.type),
            ago(job.started_at or job.created_at),
            _message(job),
        )
        for job in jobs
    ]
    head = ("ID", "STATUS", "PROGRESS" if wide else "DONE", "TYPE", "SINCE", "MESSAGE")
    return table(head, rows, long=(3, 5), status_at=1)


def _message(job: JobRecord) -> str:
    if job.status == "failed":
        lines = [line for line in (job.error or "").splitlines() if line.strip()]
        is_traceback = bool(lines) and lines[0].startswith("Traceback")
        return clean(lines[-1 if is_traceback else 0]) if lines else ""
    return clean(job.message)


def _details(job: JobRecord, events: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"{clean(job.type)}  {colored(job.status, job.status)}  {bar(job.progress)}"
    facts = {"id": job.id, "message": job.message, "runner": job.runner, "link": job.link, "tags": ", ".join(job.tags)}
    facts |= {"parent": job.parent_id, "created by": job.created_by, "reason": job.failure_reason}
    yield from (f"{name:<12}{clean(str(value))}" for name, value in facts.items() if value)
    for event in events:
        change = " → ".join(filter(None, (event["from"], event["to"]))) or event["kind"].replace("_", " ")
        message = f": {clean(event['message'])}" if event["message"] else ""
        yield f"{event['at'][:19].replace('T', ' ')}  {change} by {clean(event['by'])}{message}"
    for name, value in (("payload", job.payload), ("result", job.result)):
        if value is not None:
            yield from ("", name, *json.dumps(value, indent=2, ensure_ascii=True).splitlines())
    if job.error:
        yield from ("", "error", *(clean(line) if line.strip() else "" for line in job.error.splitlines()))


def _print_json(value: object, *, indent: int | None = 2) -> None:
    print_lines([json.dumps(value, indent=indent)])
