"""Holds what was measured as figures, and formats it as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

COLUMNS = ("", "c", "per s", "p50 ms", "p99 ms", "CPU s per 1,000", "MB", "of its limit", "target")


@dataclass(frozen=True)
class Figures:
    """Figures of one row: updates or requests a second, time of a request, processor time of 1,000 of them, memory."""

    per_second: float
    p50: float
    p99: float
    cpu: float
    memory: float
    busy: float


@dataclass(frozen=True)
class Row:
    """One row of the table. Without figures ``fault`` says why; ``ratio`` is to the row it is compared with."""

    engine: str
    name: str
    connections: int
    product: bool
    figures: Figures | None
    fault: str = ""
    ratio: float | None = None
    target: float | None = None

    @property
    def key(self) -> tuple[str, str, int, bool]:
        return self.engine, self.name, self.connections, self.product

    @property
    def verdict(self) -> str:
        """Whether the target was met; empty where there is no target."""
        if self.target is None or self.ratio is None:
            return ""
        return f"≥ {self.target:g}: {'met' if self.ratio >= self.target else 'missed'}"


def _merge(rows: Sequence[Row]) -> Row:
    first = next((row for row in rows if row.figures is None), rows[0])
    if first.figures is None:
        return first
    measured = [row.figures for row in rows if row.figures]
    figures = Figures(**{name: median(getattr(each, name) for each in measured) for name in Figures.__annotations__})
    ratios = [row.ratio for row in rows if row.ratio is not None]
    return Row(*first.key, figures=figures, ratio=median(ratios) if ratios else None, target=first.target)


def compute_medians(runs: Sequence[Sequence[Row]]) -> Sequence[Row]:
    """Return each row with the medians of its figures; without figures where a run had none."""
    return [_merge([row for run in runs for row in run if row.key == first.key]) for first in runs[0]]


def _format_cells(row: Row) -> Sequence[str]:
    name = row.name if row.product else f"  *limit: {row.name}*"
    if row.figures is None:
        return [name, str(row.connections), row.fault, "", "", "", "", "", ""]
    figures = row.figures
    return [
        name,
        str(row.connections),
        f"{figures.per_second:,.0f}",
        f"{figures.p50:.1f}",
        f"{figures.p99:.1f}",
        f"{figures.cpu:.2f}",
        f"{figures.memory:.0f}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        row.verdict,
    ]


def format_table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, one engine after the other."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" + "|---:" * (len(COLUMNS) - 2) + "|---|"]
    before = ""
    for row in rows:
        if row.engine != before:
            lines.append(f"| **{row.engine}** " + "|" * len(COLUMNS))
            before = row.engine
        lines.append("| " + " | ".join(_format_cells(row)) + " |")
    return "\n".join(lines)
