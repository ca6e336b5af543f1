"""Looks after the file of a SQLite database: whether it takes writes, and that it is whole when the board has ended."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from webapp.core.database.session import db


@contextmanager
def busy_timeout(connection: Connection, seconds: float) -> Iterator[None]:
    """Let the statements of the block wait so many seconds for another process that writes."""
    ((usual,),) = connection.exec_driver_sql("PRAGMA busy_timeout").all()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {usual}")


def takes_writes(connection: Connection) -> bool:
    """Return whether a migrated file may be written to; that somebody else writes at this moment shows that it may.

    Raises ``OperationalError`` for every other fault.
    """
    with busy_timeout(connection, 0):
        try:
            # It changes no row, but needs the right to. BEGIN IMMEDIATE does not: of a file that takes no writes SQLite
            # makes it a transaction that reads.
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num WHERE 0")
        except OperationalError as error:
            name = getattr(error.orig, "sqlite_errorname", "")
            if not name.startswith(("SQLITE_READONLY", "SQLITE_BUSY")):
                raise
            return not name.startswith("SQLITE_READONLY")
    return True


def checkpoint() -> None:
    """Bring what stands in the write-ahead log into the file, and remove the log if nobody else is connected.

    Whoever copies the file of a board that has stopped then has all of it. Does nothing with another engine.
    """
    engine = db.engine
    if engine.dialect.name != "sqlite" or not Path(engine.url.database or "").exists():
        return
    engine.dispose()
    # Whoever is still at work does it when they stop.
    with suppress(OperationalError), engine.connect().execution_options(sqlite_begin=None) as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()


@contextmanager
def checkpoint_at_end() -> Iterator[None]:
    """Let the file be whole once the block has ended, in which the processes of a board come and go."""
    try:
        yield
    finally:
        checkpoint()
