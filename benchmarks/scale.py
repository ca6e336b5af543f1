"""Whether the cost of a question grows with the number of jobs: ``python -m benchmarks.scale``.

Each board is asked the same, by the core's own functions, and the medians stand side by side. Boards are made and
filled here, or given by address: a board of ten million jobs takes most of an hour to fill.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from statistics import median

import click
import sqlalchemy as sa
from flask import Flask

from benchmarks import servers
from benchmarks.cases import SECRET_KEY, Board
from webapp import create_app
from webapp.core import clock, jobs
from webapp.core.chores import liveness
from webapp.core.database.session import db
from webapp.core.jobs import listing, search
from webapp.core.jobs.listing import JobFilter
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun, JobTag
from webapp.core.stats import durations
from webapp.core.workspaces import workspaces

PAGE = 50
TIMES = 15
GROWTH = 1.5
"""The most that the largest board may take of what the smallest takes."""
LIMITS = {"counts": 10.0, "search": 100.0}
"""Milliseconds that a question whose name begins so may take."""
NOISE = 1.0
"""Milliseconds below which a ratio says nothing."""

Questions = Mapping[str, Callable[[], object]]


@click.command()
@click.option("--engine", default="postgresql", type=click.Choice(["postgresql", "sqlite"]), show_default=True)
@click.option("--jobs", "sizes", multiple=True, type=int, help="A board of so many jobs, made and filled here.")
@click.option("--board", "addresses", multiple=True, help="The DATABASE_URL of a board that is filled, with --slug.")
@click.option("--slug", default="acme", show_default=True)
def scale(engine: str, sizes: Sequence[int], addresses: Sequence[str], slug: str) -> None:
    """Ask boards of several sizes the same questions."""
    with ExitStack() as ends:
        apps = [_filled(engine, size, ends) for size in sizes]
        apps += [create_app(environ={"DATABASE_URL": one, "SECRET_KEY": SECRET_KEY}) for one in addresses]
        found = [_asked(app, slug) for app in apps]
    click.echo(as_text(found))


def _filled(engine: str, size: int, ends: ExitStack) -> Flask:
    board = Board(ends.enter_context(servers.database(engine)), size)
    ends.callback(board.close)
    return board.app


def _asked(app: Flask, slug: str) -> Mapping[str, float]:
    """Milliseconds that each question takes, the number of jobs first."""
    with app.app_context():
        found = {"jobs": float(db.session.scalar(sa.select(sa.func.count()).select_from(JobRun)) or 0)}
        for name, question in questions(slug).items():
            found[name] = _median(question)
    return found


def _median(question: Callable[[], object]) -> float:
    took = []
    for _ in range(TIMES):
        db.session.remove()
        begun = time.perf_counter()
        question()
        took.append((time.perf_counter() - begun) * 1000)
    return median(took)


def questions(slug: str) -> Questions:
    """What is asked of a workspace: pages, filters alone and in the commonest pairs, counts, searches, one job."""
    workspace = workspaces.get_by_slug_unchecked(slug).id
    newest = db.session.scalars(
        sa.select(JobRun.id).where(JobRun.workspace_id == workspace).order_by(JobRun.id.desc()).limit(1000 * PAGE)
    ).all()
    last = newest[-PAGE - 1]
    failed = listing.list_jobs(workspace, JobFilter(statuses=(JobStatus.FAILED,)), limit=1).jobs[0]
    tag = db.session.scalars(sa.select(JobTag.tag).where(JobTag.job_id == newest[-1])).first()
    day = clock.now() - timedelta(days=1)
    filters = {
        "all": JobFilter(),
        **{f"tab {status}": JobFilter(statuses=(status,)) for status in JobStatus},
        "longest running": JobFilter(statuses=(JobStatus.RUNNING,), longest_first=True),
        "type": JobFilter(type=failed.type),
        "tag": JobFilter(tag=tag),
        "created by": JobFilter(created_by=failed.created_by),
        "created since": JobFilter(created_after=day),
        "failed since": JobFilter(failed_since=day),
        "same error": JobFilter(error_group=failed.error_group),
        "type and status": JobFilter(type=failed.type, statuses=(JobStatus.FAILED,)),
        "tag and status": JobFilter(tag=tag, statuses=(JobStatus.FAILED,)),
    }
    text = JobFilter(error_text="connection refused")
    return {
        **{f"page of {name}": _page(workspace, wanted) for name, wanted in filters.items()},
        "page 1,000, or the last": lambda: listing.list_jobs(workspace, JobFilter(), limit=PAGE, cursor=last),
        # Tabs count alike, whichever is open.
        **{f"counts of {name}": _counts(workspace, wanted) for name, wanted in filters.items() if not wanted.statuses},
        "search of a text": lambda: (
            listing.count_by_status(workspace, text),
            listing.list_jobs(workspace, text, limit=PAGE),
        ),
        "search of a type": lambda: search.parse_search(workspace, failed.type),
        "types": lambda: listing.list_types(workspace),
        "one job": lambda: _one_job(workspace, failed),
        "sweep": liveness.sweep,
    }


def _page(workspace_id: uuid.UUID, wanted: JobFilter) -> Callable[[], object]:
    return lambda: listing.list_jobs(workspace_id, wanted, limit=PAGE)


def _counts(workspace_id: uuid.UUID, wanted: JobFilter) -> Callable[[], object]:
    return lambda: listing.count_by_status(workspace_id, wanted)


def _one_job(workspace_id: uuid.UUID, job: JobRun) -> object:
    found = jobs.get_job_status(job.id, within=workspace_id)
    return (
        jobs.list_events(found),
        jobs.list_children(found),
        durations.list_earlier(found),
        durations.usual_durations(workspace_id, [job.type]),
    )


def as_text(found: Sequence[Mapping[str, float]]) -> str:
    """A table in Markdown: a column for each board, and how much dearer the largest is."""
    head = ["", *(f"{each['jobs']:,.0f} jobs, ms" for each in found), "largest / smallest", ""]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(found) + 1) + "|---|"]
    for name in list(found[0])[1:]:
        took = [each[name] for each in found]
        cells = [name, *(f"{each:.2f}" for each in took), f"{took[-1] / took[0]:.2f}", _verdict(name, took)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _verdict(name: str, took: Sequence[float]) -> str:
    limit = LIMITS.get(name.split()[0])
    if limit is not None:
        return f"< {limit:g} ms: {'met' if took[-1] < limit else 'missed'}"
    small = took[-1] < NOISE
    return f"≤ {GROWTH}: {'met' if small or took[-1] <= GROWTH * took[0] else 'missed'}"


if __name__ == "__main__":
    scale()
