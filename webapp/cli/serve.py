"""``flask serve``: the server and the chores, as configured. What ``make run`` starts."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from webapp.cli.processes import Together, require_free_port, start_board
from webapp.cli.refusals import NOT_MIGRATED, told_in_one_line
from webapp.core import schema
from webapp.extensions import db


@click.command()
@with_appcontext
def serve() -> None:
    """Serve what is configured, chores included, until stopped."""
    config = current_app.config
    require_free_port(config["HOST"], config["PORT"])
    with told_in_one_line():
        require_migrated()
    with Together(Path(current_app.root_path).parent) as together:
        if start_board(together, current_app):
            click.echo(f"Callboard serves on {config['PUBLIC_URL']} (Ctrl-C stops it).")
            together.wait()


def require_migrated() -> None:
    """Refuse a database whose tables are not those of this version."""
    current = schema.is_current(Path(current_app.extensions["migrate"].directory))
    db.engine.dispose()
    if not current:
        raise click.ClickException(NOT_MIGRATED)
