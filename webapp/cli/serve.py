"""Adds ``flask serve``, which runs the server and the chores as configured; ``make run`` starts it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from webapp.cli.errors import NOT_MIGRATED, errors_in_one_line
from webapp.cli.processes import ChildProcesses, require_free_port, start_board
from webapp.cli.terminal import print_line
from webapp.core.database import migrations
from webapp.core.database.session import db
from webapp.logging import log_as_json

log = logging.getLogger(__name__)


def require_migrated() -> None:
    """Check that the tables are those of this version. Raises ``ClickException``."""
    current = migrations.is_current(Path(current_app.extensions["migrate"].directory))
    # The children open connections of their own.
    db.engine.dispose()
    if not current:
        raise click.ClickException(NOT_MIGRATED)


def _announce(text: str) -> None:
    if sys.stderr.isatty():
        print_line(f"{text} (Ctrl-C stops it).", err=True)
    else:
        log.info("%s.", text)


@contextmanager
def _log_unless_terminal() -> Iterator[None]:
    """Write whatever this block prints as lines of the log, unless a person sits in front of it."""
    if sys.stderr.isatty():
        yield
        return
    log_as_json()
    log.setLevel(logging.INFO)
    try:
        yield
    except click.ClickException as error:
        log.critical("%s", error.message)
        raise SystemExit(error.exit_code) from None


@click.command()
@with_appcontext
def serve() -> None:
    """Serve what is configured, chores included, until stopped."""
    config = current_app.config
    require_free_port(config["HOST"], config["PORT"])
    with errors_in_one_line():
        require_migrated()
    with _log_unless_terminal(), ChildProcesses(Path(current_app.root_path).parent) as children:
        if start_board(children, current_app):
            _announce(f"Callboard serves on {config['PUBLIC_URL']}")
            children.wait()
