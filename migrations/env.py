"""How Alembic reaches the database: the app's own engine and the core's models, whatever the engine is."""

import logging.config
from typing import Literal

import click
import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from webapp.cli.errors import describe_driver_error
from webapp.core.clock import UtcDateTime
from webapp.core.database.postgresql import lift_time_limits
from webapp.core.database.transactions import IN_A_TRANSACTION

config = context.config
if config.config_file_name:
    logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)

database = current_app.extensions["migrate"].db


def render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Write the core's own type of column as plain SQLAlchemy into a new migration; leave the rest to Alembic."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run(connection: sa.Connection) -> None:
    """Run the migrations that the command asks for, all of them in one transaction."""
    options = current_app.extensions["migrate"].configure_args
    context.configure(connection=connection, target_metadata=database.metadata, render_item=render_item, **options)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Open the connection, run the migrations on it and commit. Raises ``SQLAlchemyError``."""
    # SQLite changes a table by copying it; with foreign keys on, dropping the old table would delete the rows that
    # refer to it.
    with database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.execute("PRAGMA foreign_keys=OFF")
        connection = connection.execution_options(**IN_A_TRANSACTION[connection.dialect.name])
        try:
            if connection.dialect.name == "postgresql":
                lift_time_limits(connection)
            run(connection)
            connection.commit()
        finally:
            if connection.dialect.name == "sqlite":
                connection.rollback()
                connection.connection.execute("PRAGMA foreign_keys=ON")
            else:
                connection.invalidate()


# Flask-Migrate adds its commands by itself, outside of CommandGroup; each that uses the database runs this file.
try:
    main()
except SQLAlchemyError as error:
    raise click.ClickException(describe_driver_error(error)) from None
