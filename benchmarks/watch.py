"""Measures what it costs that browsers watch a board: ``python -m benchmarks.watch``.

Many browsers poll one board while many reports a second arrive, each kind from a driver of its own. A browser sends the
ETag that it holds and how old an answer may be, as the page's scripts do, at the pace of a page that changes.
"""

import threading
from collections.abc import Sequence
from contextlib import nullcontext

import click

from benchmarks import servers
from benchmarks.__main__ import drive
from benchmarks.cases import Board, build_request
from benchmarks.load import Plan, Result
from benchmarks.servers import Server

REPORTERS = 20
"""Connections on which the reports arrive."""


def _measure(
    server: Server, board: Board, reported: Sequence[str], browsers: int, every: float, updates: int, seconds: float
) -> tuple[Result, Result | None, float]:
    """Return the results of reports and of polls, and the server's processor time a second."""
    reports = [
        build_request("PATCH", f"/api/v1/jobs/{job_id}", {"progress": number % 100}, **board.bearer)
        for number in range(100)
        for job_id in reported
    ]
    report_plan = Plan(server.port, reports, REPORTERS, seconds, warm_up=every + 1, every=REPORTERS / updates)
    results: list[Result] = []
    if browsers:
        headers = {"HX-Request": "true", "Cache-Control": "max-age=1"}
        polls = [build_request("GET", "/w/acme/jobs/table", Cookie=board.cookie, **headers)]
        poll_plan = Plan(server.port, polls, browsers, seconds, warm_up=every + 1, every=every, conditional=True)
        poller = threading.Thread(target=lambda: results.append(drive(server, poll_plan)[0]))
        poller.start()
    reporters, cpu = drive(server, report_plan)
    if browsers:
        poller.join()
    return reporters, results[0] if results else None, cpu / reporters.seconds


def _print_result(name: str, reporters: Result, browsers: Result | None, cpu: float, server: Server) -> None:
    rate = sum(reporters.statuses.values()) / reporters.seconds
    click.echo(f"{name}: {rate:.0f} reports a second, p50 {reporters.p50:.1f} ms, p99 {reporters.p99:.1f} ms", nl=False)
    click.echo(f"; {reporters.statuses}; {cpu:.2f} cores; {server.memory():.0f} MB", nl=False)
    if browsers:
        polls = sum(browsers.statuses.values()) / browsers.seconds
        click.echo(f"; {polls:.0f} polls a second {browsers.statuses}, p99 {browsers.p99:.1f} ms", nl=False)
    click.echo()


@click.command()
@click.option("--engine", default="postgresql", type=click.Choice(["postgresql", "sqlite"]), show_default=True)
@click.option("--jobs", default=10_000, show_default=True, help="Jobs on the board before.")
@click.option("--board", "board_address", help="The DATABASE_URL of a filled board, instead of a new one.")
@click.option("--browsers", default=500, show_default=True)
@click.option("--every", default=3.0, show_default=True, help="Seconds from one poll of a browser to its next.")
@click.option("--updates", default=200, show_default=True, help="Reports a second.")
@click.option("--workers", default=1, show_default=True)
@click.option("--seconds", default=20.0, show_default=True)
def watch(
    engine: str,
    jobs: int,
    board_address: str | None,
    browsers: int,
    every: float,
    updates: int,
    workers: int,
    seconds: float,
) -> None:
    """Measure reports alone, and with browsers that watch: jobs that stand on the page, and jobs that do not."""
    with nullcontext(board_address) if board_address else servers.database(engine) as address:
        board = Board(address, jobs)
        with servers.product(board.environ, workers=workers) as server:
            board.sign_in(server)
            for name, reported, watching in (
                ("reports alone", board.running[:REPORTERS], 0),
                ("browsers on an unchanged page", board.running[-REPORTERS:], browsers),
                ("browsers on a page that changes", board.running[:REPORTERS], browsers),
            ):
                _print_result(name, *_measure(server, board, reported, watching, every, updates, seconds), server)
        board.close()


if __name__ == "__main__":
    watch()
