"""What was measured, as figures and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

COLUMNS = ("", "c", "per s", "p50 ms", "p99 ms", "CPU s per 1,000", "MB", "of its limit", "target")


@dataclass(frozen=True)
class Figures:
    """Of one row: updates or requests a second, how long a request took, processor time of 1,000 of them, memory."""

    per_second: float
    p50: float
    p99: float
    cpu: float
    memory: float
    busy: float


@dataclass(frozen=True)
class Row:
    """One row of the table. Without figures ``fault`` says why; ``ratio`` is of what it is judged by, in one run."""

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
        """Whether the target was met; empty where there is none."""
        if self.target is None or self.ratio is None:
            return ""
        return f"≥ {self.target:g}: {'met' if self.ratio >= self.target else 'missed'}"


def medians(runs: Sequence[Sequence[Row]]) -> Sequence[Row]:
    """Of each figure the median of the runs; no figures where one of them had none."""
    return [_median([row for run in runs for row in run if row.key == first.key]) for first in runs[0]]


def _median(rows: Sequence[Row]) -> Row:
    first = next((row for row in rows if row.figures is None), rows[0])
    if first.figures is None:
        return first
    found = [row.figures for row in rows if row.figures]
    figures = Figures(**{name: median(getattr(each, name) for each in found) for name in Figures.__annotations__})
    ratios = [row.ratio for row in rows if row.ratio is not None]
    return Row(*first.key, figures=figures, ratio=median(ratios) if ratios else None, target=first.target)


def as_text(rows: Sequence[Row]) -> str:
    """A table in Markdown, an engine after the other."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" + "|---:" * (len(COLUMNS) - 2) + "|---|"]
    before = ""
    for row in rows:
        if row.engine != before:
            lines.append(f"| **{row.engine}** " + "|" * len(COLUMNS))
            before = row.engine
        lines.append("| " + " | ".join(_cells(row)) + " |")
    return "\n".join(lines)


def _cells(row: Row) -> Sequence[str]:
    name = row.name if row.product else f"  *limit: {row.name}*"
    if row.figures is None:
        return [name, str(row.connections), row.fault, "", "", "", "", "", ""]
    found = row.figures
    return [
        name,
        str(row.connections),
        f"{found.per_second:,.0f}",
        f"{found.p50:.1f}",
        f"{found.p99:.1f}",
        f"{found.cpu:.2f}",
        f"{found.memory:.0f}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        row.verdict,
    ]
