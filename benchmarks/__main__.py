"""Measures what the product costs beside the limit that each row is compared with, and prints one table."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks import servers
from benchmarks.cases import CASES, Board, Case
from benchmarks.load import Plan, Result
from benchmarks.servers import Server
from benchmarks.table import Figures, Row, compute_medians, format_table

ENGINES = ("postgresql", "sqlite")
TARGET_CONNECTIONS = 16
"""Connections at which the targets must be met."""
DRIVER_LIMIT = 0.85
"""Share of its core from which on the driver may be what was measured."""


class Bench:
    """A board with the product and the bare routes on it, until the stack is closed."""

    def __init__(self, engine: str, jobs: int, seconds: float, workers: int, stack: ExitStack) -> None:
        self._engine = engine
        self._seconds = seconds
        address = stack.enter_context(servers.database(engine))
        self._board = Board(address, jobs)
        stack.callback(self._board.close)
        self._product = stack.enter_context(servers.product(self._board.environ, workers=workers))
        self._limit = stack.enter_context(servers.limit(self._board.environ))
        self._board.sign_in(self._product)
        self._measured: dict[tuple[str, int], Figures] = {}

    def measure(self, case: Case, connections: Sequence[int]) -> Iterator[Row]:
        """Yield the product's row and its limit's, for each number of connections."""
        for count in connections:
            limit = self._measure_row(case, count, product=False) if case.limit else None
            row = self._measure_row(case, count, product=True, limit=limit) if case.product else None
            yield from filter(None, (row, limit))

    def _measure_row(self, case: Case, count: int, *, product: bool, limit: Row | None = None) -> Row:
        server, requests = (self._product, case.product) if product else (self._limit, case.limit)
        assert requests
        result, cpu = drive(server, Plan(server.port, requests(self._board), count, self._seconds, once=case.once))
        figures, fault = self._evaluate(case, result, cpu, server.memory(), each=case.each if product else 1)
        ratio, target = None, None
        if figures and product:
            self._measured[case.name, count] = figures
            by = limit.figures if limit else self._measured.get((case.compared_with or "", count))
            ratio = figures.per_second / by.per_second if by else None
            target = getattr(case.target, self._engine) if case.target and count == TARGET_CONNECTIONS else None
        return Row(self._engine, case.name, count, product, figures, fault, ratio, target)

    def _evaluate(
        self, case: Case, result: Result, cpu: float, memory: float, *, each: int
    ) -> tuple[Figures | None, str]:
        """Return the figures; or None and why, after an error or when it is the driver that was measured."""
        good = result.statuses.get(case.answer, 0)
        wrong = {status: number for status, number in result.statuses.items() if status != case.answer}
        if wrong or not good:
            return None, f"errors: {wrong or 'no answer'}"
        if result.busy > DRIVER_LIMIT:
            return None, f"the driver was busy for {result.busy:.0%} of the time"
        return Figures(
            good * each / result.seconds, result.p50, result.p99, cpu / good / each * 1000, memory, result.busy
        ), ""


@click.command()
@click.option("--engine", "engines", multiple=True, type=click.Choice(ENGINES), help="All unless said.")
@click.option(
    "--case", "names", multiple=True, type=click.Choice([case.name for case in CASES]), help="All unless said."
)
@click.option("--connections", multiple=True, type=int, default=(1, 16, 64), show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="How long each row is measured.")
@click.option("--jobs", default=10_000, show_default=True, help="Jobs on the board before.")
@click.option("--workers", default=1, show_default=True, help="Processes of the product; several are not pinned.")
@click.option("--runs", default=1, show_default=True, help="After several the medians are printed too.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Where all figures are written.")
def bench(
    engines: Sequence[str],
    names: Sequence[str],
    connections: Sequence[int],
    seconds: float,
    jobs: int,
    workers: int,
    runs: int,
    path: Path | None,
) -> None:
    """Measure the product beside its limits and print a table."""
    tables = []
    for number in range(runs):
        rows: list[Row] = []
        for engine in engines or ENGINES:
            with ExitStack() as stack:
                bench = Bench(engine, jobs, seconds, workers, stack)
                for case in CASES:
                    if not names or case.name in names:
                        rows += bench.measure(case, connections)
                        click.echo(f"run {number + 1}: {engine}, {case.name}", err=True)
        tables.append(rows)
        click.echo(format_table(rows) + "\n")
    if runs > 1:
        click.echo(f"Medians of {runs} runs\n\n{format_table(compute_medians(tables))}")
    if path:
        path.write_text(json.dumps([[asdict(row) for row in rows] for rows in tables], indent=1))
    if any(row.fault for rows in tables for row in rows):
        sys.exit(1)


def drive(server: Server, plan: Plan) -> tuple[Result, float]:
    """Run the driver in a process of its own; return its result, and the server's processor time meanwhile."""
    command = [*servers.pin_to(servers.DRIVER_CORE), sys.executable, "-m", "benchmarks.load"]
    with subprocess.Popen(
        command, cwd=servers.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdin
        assert driver.stdout
        json.dump(asdict(plan), driver.stdin)
        driver.stdin.close()
        marks = []
        while (line := driver.stdout.readline().strip()) in ("begun", "ended"):
            marks.append(server.cpu())
    if driver.returncode or len(marks) != 2:
        raise click.ClickException("The driver ended with an error.")
    result = Result(**json.loads(line))
    # JSON has only text for keys.
    result.statuses = {int(status): number for status, number in result.statuses.items()}
    return result, marks[1] - marks[0]


if __name__ == "__main__":
    bench()
