"""Tells whether the database has the tables of this version."""

from functools import cache
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from webapp.core.database.transactions import read_connection


@cache
def _get_heads(migrations: Path) -> frozenset[str]:
    return frozenset(ScriptDirectory(str(migrations)).get_heads())


def is_current(migrations: Path) -> bool:
    """Return whether every migration in that folder has been applied, and none that this version does not know.

    Raises what the driver raises when the database does not answer.
    """
    with read_connection() as connection:
        applied = MigrationContext.configure(connection).get_current_heads()
    return frozenset(applied) == _get_heads(migrations)
