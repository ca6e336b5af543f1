"""How the core reads and writes: one way to write, one way to run a single statement, on SQLite and on PostgreSQL.

SQLite has one writer at a time. Waiting for it in the database starves threads for seconds under load, so the
threads of a process queue for a lock of their own first; ``busy_timeout`` is left for other processes.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError, TimeoutError
from sqlalchemy.orm import Session

from webapp.extensions import db

PATIENCE = 5
"""Seconds that a writer waits for the threads of its own process, and again for everybody else. A runner that hears
503 tries again; a thread that waits for ever takes the pages down with it."""

IN_A_TRANSACTION: Mapping[str, Mapping[str, Any]] = {
    "sqlite": {"sqlite_begin": "BEGIN IMMEDIATE"},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}
"""By engine, what makes one transaction of the statements that follow on a connection, and takes the right to write."""

_sqlite_writer = threading.Lock()

# What SQLite, and PostgreSQL by its codes for an undefined table and an undefined column, say of a missing migration.
_SIGNS_OF_A_MISSING_TABLE = ("no such table", "no such column", "has no column named")
_UNDEFINED = ("42P01", "42703")

compact_json = partial(json.dumps, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""JSON text as it is stored and measured: no spaces, letters as they are. Raises ``ValueError`` on NaN."""


def canonical_json(value: object) -> str:
    """JSON text that two values share if JSON holds them for equal.

    The order of keys does not count, and 1.0 is the number 1; true is not.
    """
    return compact_json(_whole_where_it_is(value), sort_keys=True)


def _whole_where_it_is(value: object) -> object:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _whole_where_it_is(inner) for name, inner in value.items()}
        case list():
            return [_whole_where_it_is(inner) for inner in value]
        case _:
            return value


def engine_options(url: sa.URL, connections: int) -> dict[str, Any]:
    """What Flask-SQLAlchemy passes to ``create_engine``; ``connections`` is how many a process keeps open.

    No ping before use, it would cost every request a round trip: after a restart of PostgreSQL one request is
    answered 503, which empties the pool.
    """
    of_postgresql: dict[str, Any] = {
        "connect_args": {"options": f"-c lock_timeout={PATIENCE}s"},
        # Who only reads needs no transaction; ``writing`` begins one.
        "isolation_level": "AUTOCOMMIT",
        # What has a transaction ends it; to roll back the others once more would cost each a look at the connection.
        "pool_reset_on_return": None,
    }
    return (of_postgresql if url.get_backend_name() == "postgresql" else {}) | {
        "json_serializer": compact_json,
        "pool_size": connections,
        "max_overflow": 2,
        "pool_timeout": PATIENCE,
    }


def prepare_engine(engine: Engine) -> None:
    """Give SQLite its pragmas and explicit transactions; PostgreSQL needs neither."""
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, record: Any) -> None:
        # The driver would begin transactions by rules of its own; "begin" below does it by ours.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={PATIENCE * 1000}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options().get("sqlite_begin", "BEGIN")
        if begin:
            connection.exec_driver_sql(begin)


@contextmanager
def turn_to_write() -> Iterator[None]:
    """Write from here to the end of the block, on a connection other than the session's.

    The read transaction of the session ends first: on SQLite it would go on seeing the old row.
    """
    if db.session.registry.has():
        db.session.commit()
    with _turn_of_threads():
        yield


@contextmanager
def _turn_of_threads() -> Iterator[None]:
    if db.engine.dialect.name != "sqlite":
        yield
        return
    if not _sqlite_writer.acquire(timeout=PATIENCE):
        raise TimeoutError("Other threads of this process have been writing for too long.")
    try:
        yield
    finally:
        _sqlite_writer.release()


@contextmanager
def writing() -> Iterator[Session]:
    """One transaction that writes: committed at the end of the block, rolled back on any error.

    The read transaction of the session, if one is open, ends first: SQLite refuses to turn a read into a write once
    somebody else has written. Objects loaded before stay loaded.
    """
    session = db.session()
    session.commit()
    with _turn_of_threads():
        try:
            session.connection(execution_options=IN_A_TRANSACTION[db.engine.dialect.name])
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


@contextmanager
def one_write() -> Iterator[Connection]:
    """A connection for exactly one statement that writes and is a transaction by itself."""
    with turn_to_write(), one_read() as connection:
        yield connection


def upsert(
    table: sa.Table, key: dict[str, Any], values: dict[str, Any], *, where: sa.ColumnElement[bool] | None = None
) -> postgresql.Insert:
    """One statement that writes a row, or changes the one that is there, in that case only ``where`` this holds.

    ``key`` names the columns of the primary key.
    """
    insert: Any = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    fresh: postgresql.Insert = insert(table).values(key | values)
    return fresh.on_conflict_do_update(index_elements=list(key), set_=values, where=where)


def leave_mark(statement: sa.Update) -> None:
    """Leave a mark behind a read (last used, last seen). If the database is locked the mark is lost, and not the read.

    The statement carries its own "at most once a minute", so that readers at the same moment write one mark.
    """
    with suppress(OperationalError, TimeoutError), one_write() as connection:
        connection.execute(statement)


@contextmanager
def one_read() -> Iterator[Connection]:
    """A connection on which each statement stands alone, without the cost of a transaction around it."""
    with db.engine.connect().execution_options(sqlite_begin=None) as connection:
        yield connection


def lacks_migration(error: SQLAlchemyError) -> bool:
    """Whether a statement failed because the database is older than this program, or empty."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if getattr(cause, "sqlstate", None) in _UNDEFINED:
        return True
    return isinstance(error, OperationalError) and any(sign in str(cause) for sign in _SIGNS_OF_A_MISSING_TABLE)


def is_unavailable(error: SQLAlchemyError) -> bool:
    """Whether the database is away, busy or not migrated yet: the same request may succeed later, as it is.

    A missing migration is among them so that no runner gives up its report during an upgrade.
    """
    return isinstance(error, OperationalError | InterfaceError | TimeoutError) or lacks_migration(error)
