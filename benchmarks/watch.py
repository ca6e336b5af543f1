"""Whether watching is nearly free: ``python -m benchmarks.watch``.

Many browsers poll one board while many reports a second arrive, each kind from a driver of its own. A browser says
which answer it holds and how old another may be, as ``static/js/polling.js`` does, at the pace of a page that changes.
"""

import threading
from collections.abc import Sequence
from contextlib import nullcontext

import click

from benchmarks import servers
from benchmarks.__main__ import drive
from benchmarks.cases import Board, http
from benchmarks.load import Plan, Seen
from benchmarks.servers import Server

REPORTERS = 20
"""Connections on which the reports arrive."""


@click.command()
@click.option("--engine", default="postgresql", type=click.Choice(["postgresql", "sqlite"]), show_default=True)
@click.option("--jobs", default=10_000, show_default=True, help="Jobs on the board before.")
@click.option("--board", "given", help="The DATABASE_URL of a filled board, instead of a new one.")
@click.option("--browsers", default=500, show_default=True)
@click.option("--every", default=3.0, show_default=True, help="Seconds from one poll of a browser to its next.")
@click.option("--updates", default=200, show_default=True, help="Reports a second.")
@click.option("--workers", default=1, show_default=True)
@click.option("--seconds", default=20.0, show_default=True)
def watch(
    engine: str, jobs: int, given: str | None, browsers: int, every: float, updates: int, workers: int, seconds: float
) -> None:
    """Measure reports alone, and with browsers that watch: jobs that stand on the page, and jobs that do not."""
    with nullcontext(given) if given else servers.database(engine) as address:
        board = Board(address, jobs)
        with servers.product(board.environ, workers=workers) as server:
            board.sign_in(server)
            for name, reported, watching in (
                ("reports alone", board.running[:REPORTERS], 0),
                ("browsers on an unchanged page", board.running[-REPORTERS:], browsers),
                ("browsers on a page that changes", board.running[:REPORTERS], browsers),
            ):
                _tell(name, *_run(server, board, reported, watching, every, updates, seconds), server)
        board.close()


def _run(
    server: Server, board: Board, reported: Sequence[str], browsers: int, every: float, updates: int, seconds: float
) -> tuple[Seen, Seen | None, float]:
    """What the reporters saw, what the browsers saw, and the server's processor time a second."""
    reports = [
        http("PATCH", f"/api/v1/jobs/{job_id}", {"progress": number % 100}, **board.bearer)
        for number in range(100)
        for job_id in reported
    ]
    told = Plan(server.port, reports, REPORTERS, seconds, warm_up=every + 1, every=REPORTERS / updates)
    seen: list[Seen] = []
    if browsers:
        tick = {"HX-Request": "true", "Cache-Control": "max-age=1"}
        polls = [http("GET", "/w/acme/jobs/table", Cookie=board.cookie, **tick)]
        plan = Plan(server.port, polls, browsers, seconds, warm_up=every + 1, every=every, holds=True)
        other = threading.Thread(target=lambda: seen.append(drive(server, plan)[0]))
        other.start()
    reporters, cpu = drive(server, told)
    if browsers:
        other.join()
    return reporters, seen[0] if seen else None, cpu / reporters.seconds


def _tell(name: str, reporters: Seen, browsers: Seen | None, cpu: float, server: Server) -> None:
    rate = sum(reporters.statuses.values()) / reporters.seconds
    click.echo(f"{name}: {rate:.0f} reports a second, p50 {reporters.p50:.1f} ms, p99 {reporters.p99:.1f} ms", nl=False)
    click.echo(f"; {reporters.statuses}; {cpu:.2f} cores; {server.memory():.0f} MB", nl=False)
    if browsers:
        polls = sum(browsers.statuses.values()) / browsers.seconds
        click.echo(f"; {polls:.0f} polls a second {browsers.statuses}, p99 {browsers.p99:.1f} ms", nl=False)
    click.echo()


if __name__ == "__main__":
    watch()
