"""Reads and writes: one way to write, one way to run a single statement, on SQLite and on PostgreSQL.

SQLite has one writer at a time. Waiting for it in the database starves threads for seconds under load, so the
threads of a process queue for a lock of their own first; ``busy_timeout`` is left for other processes.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, TimeoutError
from sqlalchemy.orm import Session

from webapp.core.database import engine, sqlite_file
from webapp.core.database.session import db

IN_A_TRANSACTION: Mapping[str, Mapping[str, Any]] = {
    "sqlite": {"sqlite_begin": "BEGIN IMMEDIATE"},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}
"""By engine, what makes one transaction of the statements that follow on a connection, and takes the right to write."""

BEST_EFFORT_TIMEOUT = 0.1
"""Seconds that a write which may as well be left out waits for those who write to SQLite."""

_sqlite_writer = threading.Lock()


@contextmanager
def _thread_lock(timeout: float | None = None) -> Iterator[None]:
    """Hold back the other threads of this process that write to SQLite.

    Raises ``TimeoutError`` after so many seconds, those of ``LOCK_TIMEOUT`` unless others are given.
    """
    if db.engine.dialect.name != "sqlite":
        yield
        return
    if not _sqlite_writer.acquire(timeout=engine.LOCK_TIMEOUT if timeout is None else timeout):
        raise TimeoutError("Other threads of this process have been writing for too long.")
    try:
        yield
    finally:
        _sqlite_writer.release()


@contextmanager
def write_lock(timeout: float | None = None) -> Iterator[None]:
    """Hold the right to write to the end of the block, for a connection other than the session's.

    The read transaction of the session ends first: on SQLite it would go on seeing the old row. Raises
    ``TimeoutError`` as ``_thread_lock`` does.
    """
    if db.session.registry.has():
        db.session.commit()
    with _thread_lock(timeout):
        yield


@contextmanager
def write_transaction() -> Iterator[Session]:
    """Open one transaction that writes: committed at the end of the block, rolled back on any error.

    The read transaction of the session, if one is open, ends first: SQLite refuses to turn a read into a write once
    somebody else has written. Objects loaded before stay loaded.
    """
    session = db.session()
    session.commit()
    with _thread_lock():
        try:
            session.connection(execution_options=IN_A_TRANSACTION[db.engine.dialect.name])
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


def may_write() -> bool:
    """Return whether the database takes writes: a PostgreSQL that follows another does not, nor does a read-only file.

    The connections to a server that takes none are left, because the next may reach the one that does.
    """
    with read_connection() as connection:
        if db.engine.dialect.name == "sqlite":
            return sqlite_file.takes_writes(connection)
        read_only = connection.scalar(sa.text("SELECT current_setting('transaction_read_only')")) == "on"
    if read_only:
        db.engine.dispose()
    return not read_only


@contextmanager
def read_connection() -> Iterator[Connection]:
    """Open a connection on which each statement stands alone, without the cost of a transaction around it."""
    with db.engine.connect().execution_options(sqlite_begin=None) as connection:
        yield connection


@contextmanager
def write_connection() -> Iterator[Connection]:
    """Open a connection for exactly one statement that writes and is a transaction by itself."""
    with write_lock(), read_connection() as connection:
        yield connection


def update_best_effort(statement: sa.Update) -> None:
    """Write a time behind a read (last used, last seen). If the database is locked it is lost, and not the read.

    The statement carries its own "at most once a minute", so that readers at the same moment write it once.
    """
    with suppress(OperationalError, TimeoutError), write_lock(BEST_EFFORT_TIMEOUT), read_connection() as connection:
        if db.engine.dialect.name == "sqlite":
            with sqlite_file.busy_timeout(connection, BEST_EFFORT_TIMEOUT):
                connection.execute(statement)
        else:
            connection.execute(statement)
