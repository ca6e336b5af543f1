"""Tells whether this version of the program and the tables of the database fit each other."""

from enum import Enum, auto
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from webapp.core.database.transactions import read_connection
from webapp.core.models import schema_compatibility


class SchemaState(Enum):
    """How the tables stand to this version of the program."""

    FITTING = auto()
    OUTDATED = auto()
    """A migration is missing."""
    TOO_NEW = auto()
    """A later version has migrated them, and one of its migrations took away what this version needs."""


@cache
def _get_revisions(migrations: Path) -> tuple[str | None, frozenset[str]]:
    """Return the newest revision of a folder, and all."""
    scripts = ScriptDirectory(str(migrations))
    return scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions())


def get_schema_state(migrations: Path) -> SchemaState:
    """Return how the database stands to the migrations in that folder.

    Tables that a later version has migrated fit as long as they have all that this version needs, so that the servers
    of both can run side by side until the last is replaced. Raises what the driver raises when the database does not
    answer.
    """
    head, known = _get_revisions(migrations)
    with read_connection() as connection:
        applied = MigrationContext.configure(connection).get_current_revision()
        if applied == head:
            return SchemaState.FITTING
        if applied is None or applied in known:
            return SchemaState.OUTDATED
        oldest_served = _get_oldest_served(connection)
    # Revisions are numbers of four digits.
    return SchemaState.FITTING if head and oldest_served and oldest_served <= head else SchemaState.TOO_NEW


def _get_oldest_served(connection: Connection) -> str | None:
    return connection.scalar(sa.select(schema_compatibility.c.oldest_served))
