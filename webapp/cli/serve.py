"""``flask serve``: the server and the chores, as configured. What ``make run`` starts."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from webapp.cli.processes import Together, require_free_port, start_board
from webapp.cli.refusals import NOT_MIGRATED, told_in_one_line
from webapp.core.database import migrations
from webapp.core.database.session import db
from webapp.json_log import write_json

log = logging.getLogger(__name__)


@click.command()
@with_appcontext
def serve() -> None:
    """Serve what is configured, chores included, until stopped."""
    config = current_app.config
    require_free_port(config["HOST"], config["PORT"])
    with told_in_one_line():
        require_migrated()
    with _logged(), Together(Path(current_app.root_path).parent) as together:
        if start_board(together, current_app):
            _say(f"Callboard serves on {config['PUBLIC_URL']}")
            together.wait()


def require_migrated() -> None:
    """Refuse a database whose tables are not those of this version."""
    current = migrations.is_current(Path(current_app.extensions["migrate"].directory))
    db.engine.dispose()
    if not current:
        raise click.ClickException(NOT_MIGRATED)


def _say(news: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{news} (Ctrl-C stops it).", err=True)
    else:
        log.info("%s.", news)


@contextmanager
def _logged() -> Iterator[None]:
    """From here on whatever is told is a line of the log, unless a person sits in front of it."""
    if sys.stderr.isatty():
        yield
        return
    write_json()
    log.setLevel(logging.INFO)
    try:
        yield
    except click.ClickException as refusal:
        log.critical("%s", refusal.message)
        raise SystemExit(refusal.exit_code) from None
