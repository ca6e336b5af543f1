"""Measures whether the cost of a query grows with the number of jobs: ``python -m benchmarks.scale``.

The same functions of the core are called on each board, and the medians stand side by side. Boards are made and filled
here, or named by address: a board of ten million jobs takes most of an hour to fill.
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
"""Milliseconds that a query may take whose name begins so."""
NOISE = 1.0
"""Milliseconds below which a ratio says nothing."""

Queries = Mapping[str, Callable[[], object]]


def _fill_board(engine: str, size: int, stack: ExitStack) -> Flask:
    board = Board(stack.enter_context(servers.database(engine)), size)
    stack.callback(board.close)
    return board.app


def _page(workspace_id: uuid.UUID, filter: JobFilter) -> Callable[[], object]:
    return lambda: listing.list_jobs(workspace_id, filter, limit=PAGE)


def _counts(workspace_id: uuid.UUID, filter: JobFilter) -> Callable[[], object]:
    return lambda: listing.count_by_status(workspace_id, filter)


def _one_job(workspace_id: uuid.UUID, job: JobRun) -> object:
    shown = jobs.get_job_status(job.id, within=workspace_id)
    return (
        jobs.list_events(shown),
        jobs.list_children(shown),
        durations.list_earlier(shown),
        durations.usual_durations(workspace_id, [job.type]),
    )


def make_queries(slug: str) -> Queries:
    """Return the queries of a workspace: pages, filters alone and in the commonest pairs, counts, searches, one job."""
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
        **{f"page of {name}": _page(workspace, filter) for name, filter in filters.items()},
        "page 1,000, or the last": lambda: listing.list_jobs(workspace, JobFilter(), limit=PAGE, cursor=last),
        # Tabs count alike, whichever is open.
        **{f"counts of {name}": _counts(workspace, filter) for name, filter in filters.items() if not filter.statuses},
        "search of a text": lambda: (
            listing.count_by_status(workspace, text),
            listing.list_jobs(workspace, text, limit=PAGE),
        ),
        "search of a type": lambda: search.parse_search(workspace, failed.type),
        "types": lambda: listing.list_types(workspace),
        "one job": lambda: _one_job(workspace, failed),
        "sweep": liveness.sweep,
    }


def _measure_median(query: Callable[[], object]) -> float:
    milliseconds = []
    for _ in range(TIMES):
        db.session.remove()
        start = time.perf_counter()
        query()
        milliseconds.append((time.perf_counter() - start) * 1000)
    return median(milliseconds)


def _measure(app: Flask, slug: str) -> Mapping[str, float]:
    """Return the milliseconds that each query takes, with the number of jobs first."""
    with app.app_context():
        figures = {"jobs": float(db.session.scalar(sa.select(sa.func.count()).select_from(JobRun)) or 0)}
        for name, query in make_queries(slug).items():
            figures[name] = _measure_median(query)
    return figures


def _judge(name: str, figures: Sequence[float]) -> str:
    limit = LIMITS.get(name.split()[0])
    if limit is not None:
        return f"< {limit:g} ms: {'met' if figures[-1] < limit else 'missed'}"
    small = figures[-1] < NOISE
    return f"≤ {GROWTH}: {'met' if small or figures[-1] <= GROWTH * figures[0] else 'missed'}"


def format_table(boards: Sequence[Mapping[str, float]]) -> str:
    """Return a table in Markdown: a column for each board, and how much more the largest costs."""
    head = ["", *(f"{board['jobs']:,.0f} jobs, ms" for board in boards), "largest / smallest", ""]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(boards) + 1) + "|---|"]
    for name in list(boards[0])[1:]:
        figures = [board[name] for board in boards]
        cells = [name, *(f"{each:.2f}" for each in figures), f"{figures[-1] / figures[0]:.2f}", _judge(name, figures)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--engine", default="postgresql", type=click.Choice(["postgresql", "sqlite"]), show_default=True)
@click.option("--jobs", "sizes", multiple=True, type=int, help="A board of so many jobs, made and filled here.")
@click.option("--board", "addresses", multiple=True, help="The DATABASE_URL of a board that is filled, with --slug.")
@click.option("--slug", default="acme", show_default=True)
def scale(engine: str, sizes: Sequence[int], addresses: Sequence[str], slug: str) -> None:
    """Run the same queries on boards of several sizes."""
    with ExitStack() as stack:
        apps = [_fill_board(engine, size, stack) for size in sizes]
        apps += [create_app(environ={"DATABASE_URL": one, "SECRET_KEY": SECRET_KEY}) for one in addresses]
        tables = [_measure(app, slug) for app in apps]
    click.echo(format_table(tables))


if __name__ == "__main__":
    scale()
