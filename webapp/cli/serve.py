"""Adds ``flask serve``, which runs the server and the chores as configured; ``make run`` starts it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from webapp.cli.errors import NOT_MIGRATED, TOO_NEW, errors_in_one_line
from webapp.cli.processes import ChildProcesses, claim_port, start_board
from webapp.cli.terminal import print_line
from webapp.core.database import migrations, sqlite_file
from webapp.core.database.migrations import SchemaState
from webapp.core.database.session import db
from webapp.logging import log_as_json

log = logging.getLogger(__name__)


def require_migrated() -> None:
    """Check that the tables fit this version. Raises ``ClickException``."""
    state = migrations.get_schema_state(Path(current_app.extensions["migrate"].directory))
    # The children open connections of their own.
    db.engine.dispose()
    if state is not SchemaState.FITTING:
        raise click.ClickException(NOT_MIGRATED if state is SchemaState.OUTDATED else TOO_NEW)


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
    folder = Path(current_app.root_path).parent
    with ExitStack() as until_stopped:
        with claim_port(config["HOST"], config["PORT"]):
            with errors_in_one_line():
                require_migrated()
            until_stopped.enter_context(_log_unless_terminal())
            until_stopped.enter_context(sqlite_file.checkpoint_at_end())
            children = until_stopped.enter_context(ChildProcesses(folder))
            serves = start_board(children, current_app)
        if serves:
            _announce(f"Callboard serves on {config['PUBLIC_URL']}")
            children.wait()
