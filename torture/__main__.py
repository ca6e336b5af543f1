"""Runs the trials and prints one table."""

import sys
from collections.abc import Sequence

import click

from torture.board import may_mount
from torture.trials import ENGINES, TRIALS, Outcome, run_trial

COLUMNS = ("trial", "engine", "kills", "writes checked", "lost", "doubled", "impossible", "tried again", "back after")


def format_table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a Markdown table."""
    rows = [COLUMNS, *map(_format_row, outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _format_row(outcome: Outcome) -> Sequence[str]:
    verdict = outcome.verdict
    counts = (outcome.kills, verdict.checked, *map(len, (verdict.lost, verdict.doubled, verdict.impossible)))
    back = "" if outcome.median_return is None else f"{outcome.median_return:.1f} s"
    return (outcome.trial, outcome.engine, *(f"{count:,}" for count in counts), f"{outcome.refused:,}", back)


def _explain(outcome: Outcome) -> Sequence[str]:
    """Return what is wrong, a line each."""
    verdict = outcome.verdict
    named = {"lost": verdict.lost, "doubled": verdict.doubled, "impossible": verdict.impossible}
    lines = [f"{word}: {text}" for word, texts in named.items() for text in texts[:10]]
    lines += [f"unexpected, {count} times: {answer}" for answer, count in outcome.unexpected.items()]
    return [f"{outcome.trial}, {outcome.engine}: {line}" for line in [*lines, *outcome.faults]]


def _summarize(outcomes: Sequence[Outcome]) -> str:
    """Return in one line what all trials came to."""
    verdicts = [outcome.verdict for outcome in outcomes]
    kills, checked = sum(outcome.kills for outcome in outcomes), sum(verdict.checked for verdict in verdicts)
    lost, doubled = sum(len(each.lost) for each in verdicts), sum(len(each.doubled) for each in verdicts)
    return f"{kills:,} kills survived, {checked:,} writes checked, lost {lost:,}, doubled {doubled:,}."


@click.command()
@click.option("--engine", "engines", multiple=True, type=click.Choice(ENGINES), help="All unless said.")
@click.option(
    "--trial", "names", multiple=True, type=click.Choice([trial.name for trial in TRIALS]), help="All unless said."
)
@click.option("--kills", default=10, show_default=True, help="How often the board is disturbed in each trial.")
@click.option("--seed", default=1, show_default=True, help="Another number: other moments.")
def torture(engines: Sequence[str], names: Sequence[str], kills: int, seed: int) -> None:
    """Kill the board under load in every way, and print what was lost."""
    outcomes = []
    for trial in TRIALS:
        if names and trial.name not in names:
            continue
        if trial.disk_size and not may_mount():
            click.echo(f"SKIPPED: {trial.name}. It takes the right to mount a disk: run it as root.", err=True)
            continue
        for engine in trial.engines:
            if not engines or engine in engines:
                click.echo(f"{trial.name}, {engine} …", err=True)
                outcomes.append(run_trial(trial, engine, kills=kills, seed=seed))
                for line in _explain(outcomes[-1]):
                    click.echo(line, err=True)
    click.echo(format_table(outcomes))
    click.echo(f"\n{_summarize(outcomes)}")
    if not all(outcome.is_good for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    torture()
