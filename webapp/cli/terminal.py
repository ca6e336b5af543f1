"""Prints for a terminal: what people and runners named may hold characters that rule one, or turn a line around."""

from typing import Any

import click

from webapp.core.validation import escape_unseen


def print_line(text: object, **options: Any) -> None:
    """Print a text as ``click.echo`` does, with what nobody sees escaped."""
    click.echo(escape_unseen(str(text)), **options)


def print_row(*cells: str) -> None:
    """Print texts in one line, parted by tabs. No cell can pretend to be two."""
    print_line("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in cells))
