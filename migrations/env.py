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

MIGRATION_LOCK = 0x43414C4C
"""The number of the advisory lock that a process which migrates holds on PostgreSQL: "CALL" in ASCII."""
WAIT_FOR_OTHERS = 24 * 3600
"""Seconds that SQLite waits for another process which migrates."""

database = current_app.extensions["migrate"].db


def render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Write the core's own type of column as plain SQLAlchemy into a new migration; leave the rest to Alembic."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run(connection: sa.Connection) -> None:
    """Run the migrations that the command asks for, in the transaction that is open: all of them or none."""
    options = current_app.extensions["migrate"].configure_args
    context.configure(connection=connection, target_metadata=database.metadata, render_item=render_item, **options)
    context.run_migrations()


def begin(connection: sa.Connection) -> None:
    """Begin a transaction that no other process that migrates shares: it waits for the other, however long."""
    if connection.dialect.name == "sqlite":
        connection.connection.execute(f"PRAGMA busy_timeout={WAIT_FOR_OTHERS * 1000}")
        connection.begin()
        return
    connection.begin()
    lift_time_limits(connection)
    # The lock of the others is waited for; that of a table which the board uses is not, or the board would wait too.
    patience = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{patience}'")


def main() -> None:
    """Open the connection, run the migrations on it and commit. Raises ``SQLAlchemyError``."""
    with database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # SQLite changes a table by copying it; with foreign keys on, dropping the old table would delete the rows
            # that refer to it.
            connection.connection.execute("PRAGMA foreign_keys=OFF")
        connection = connection.execution_options(**IN_A_TRANSACTION[connection.dialect.name])
        try:
            begin(connection)
            run(connection)
            connection.commit()
        finally:
            # What was set for migrations is not for others.
            connection.invalidate()


# Flask-Migrate adds its commands by itself, outside of CommandGroup; each that uses the database runs this file.
try:
    main()
except SQLAlchemyError as error:
    raise click.ClickException(describe_driver_error(error)) from None
