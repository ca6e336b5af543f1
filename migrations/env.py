"""How Alembic reaches the database: the app's own engine and the core's models, whatever the engine is."""

import logging.config
from typing import Literal

import click
import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from webapp.cli.refusals import words_of_the_database
from webapp.core.clock import UtcDateTime
from webapp.core.database.transactions import IN_A_TRANSACTION

config = context.config
if config.config_file_name:
    logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)

database = current_app.extensions["migrate"].db


def written(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """How a new migration writes our own type of column; everything else is left to Alembic."""
    if kind != "type" or not isinstance(item, UtcDateTime):
        return False
    context.imports.add("from webapp.core.clock import UtcDateTime")
    return "UtcDateTime()"


def run(connection: sa.Connection) -> None:
    """Run what was asked for, all of it in one transaction."""
    options = current_app.extensions["migrate"].configure_args
    context.configure(connection=connection, target_metadata=database.metadata, render_item=written, **options)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """SQLite changes a table by copying it, and dropping the old one would delete what refers to it: no keys."""
    with database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.execute("PRAGMA foreign_keys=OFF")
        connection = connection.execution_options(**IN_A_TRANSACTION[connection.dialect.name])
        try:
            run(connection)
            connection.commit()
        finally:
            if connection.dialect.name == "sqlite":
                connection.rollback()
                connection.connection.execute("PRAGMA foreign_keys=ON")


# Flask-Migrate hangs in its commands before ours, and every one that asks the database passes through here.
try:
    main()
except SQLAlchemyError as error:
    raise click.ClickException(words_of_the_database(error)) from None
