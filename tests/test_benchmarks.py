"""``make bench`` works, and its limit sends what the product sends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.limit import JOB_COLUMNS, LIST_COLUMNS
from benchmarks.table import Figures, Row, compute_medians, format_table
from tests.support.databases import ENGINES, PostgresServer
from tests.support.paths import ROOT
from webapp.core.models import JobRun

COLUMNS = [column.name for column in JobRun.__table__.columns]


def test_the_limit_reads_the_columns_that_the_product_reads() -> None:
    assert JOB_COLUMNS.split(", ") == [name for name in COLUMNS if name != "payload"]
    assert LIST_COLUMNS.split(", ") == [name for name in COLUMNS if name not in ("payload", "result", "error")]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_row_has_figures_and_stands_beside_its_limit(
    engine: str, tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATABASE_URL", postgres_server.url.render_as_string(hide_password=False))
    options = ["--engine", engine, "--connections", "2", "--seconds", "0.01", "--jobs", "300"]
    command = [sys.executable, "-m", "benchmarks", *options, "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=350)
    assert done.returncode == 0, done.stdout + done.stderr
    (rows,) = json.loads((tmp_path / "figures.json").read_text())
    assert all(row["figures"]["per_second"] > 0 for row in rows)
    with_limit = {row["name"] for row in rows if row["ratio"]}
    assert with_limit == {row["name"] for row in rows} - {"bare route", "poll that draws"}
    assert done.stdout.count("\n| ") == len(rows) + 1


def row(per_second: float, ratio: float, *, fault: str = "") -> Row:
    figures = None if fault else Figures(per_second, 1, 2, 0.5, 100, 0.1)
    return Row("sqlite", "progress", 16, True, figures, fault, None if fault else ratio, 0.6)


def test_the_median_of_several_runs_is_told_with_whether_the_target_was_met() -> None:
    (middle,) = compute_medians([[row(100, 0.5)], [row(300, 0.7)], [row(200, 0.61)]])
    assert middle.figures
    assert (middle.figures.per_second, middle.ratio, middle.verdict) == (200, 0.61, "≥ 0.6: met")
    assert row(100, 0.5).verdict == "≥ 0.6: missed"
    assert "| 200 | 1.0 | 2.0 | 0.50 | 100 | 0.61 | ≥ 0.6: met |" in format_table([middle])


def test_a_run_with_errors_has_no_figure() -> None:
    runs = [[row(100, 0.5)], [row(0, 0, fault="errors: {500: 3}")], [row(200, 0.6)]]
    (middle,) = compute_medians(runs)
    assert middle.figures is None
    assert "errors: {500: 3}" in format_table([middle])
    assert "| 100 |" not in format_table([middle])


def test_boards_of_several_sizes_are_asked_the_same() -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--engine", "sqlite", "--jobs", "200", "--jobs", "400"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=350)
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.splitlines()
    assert head.startswith("|  | 2,200 jobs, ms | 2,400 jobs, ms |")
    assert {"page 1,000, or the last", "counts of tag", "search of a text", "sweep"} <= {
        row.split(" | ")[0][2:] for row in rows
    }


def test_a_question_is_judged_by_its_growth_or_by_its_limit() -> None:
    boards = [
        {"jobs": 10.0, "page of all": 2.0, "counts of all": 1.0, "types": 0.1},
        {"jobs": 1000.0, "page of all": 3.2, "counts of all": 9.0, "types": 0.4},
    ]
    page, counts, types = scale.format_table(boards).splitlines()[2:]
    assert page.endswith("| 1.60 | ≤ 1.5: missed |")
    assert counts.endswith("| 9.00 | < 10 ms: met |")
    # Fractions of a millisecond are noise.
    assert types.endswith("| 4.00 | ≤ 1.5: met |")
