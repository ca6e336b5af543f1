"""Sets up the engine: what a connection to SQLite and to PostgreSQL is given before its first statement."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from webapp.core.database import casefold, postgresql
from webapp.core.database.settings import DEFAULT_SETTINGS, DatabaseSettings
from webapp.core.json_text import compact_json

LOCK_TIMEOUT = 5
"""Seconds that a writer waits for the threads of its own process, and again for everybody else. A runner that gets
503 tries again; a thread that waits for ever takes the pages down with it."""

MAX_WAL_SIZE = 16 * 1024 * 1024
"""Bytes to which SQLite cuts its write-ahead log whenever it begins it anew; without that it keeps the size to which a
long read let it grow."""


def engine_options(url: sa.URL, connections: int, settings: DatabaseSettings) -> dict[str, Any]:
    """Return what Flask-SQLAlchemy passes to ``create_engine``; a process keeps so many ``connections`` open.

    No ping before use, which would cost every request a round trip: after a restart of PostgreSQL one request is
    answered 503, which empties the pool.
    """
    options_of_postgresql: dict[str, Any] = {
        "connect_args": postgresql.connect_args(url, settings, lock_timeout=LOCK_TIMEOUT),
        # Who only reads needs no transaction; ``write_transaction`` begins one.
        "isolation_level": "AUTOCOMMIT",
        # What has a transaction ends it; to roll back the others once more would cost each a look at the connection.
        "pool_reset_on_return": None,
    }
    return (options_of_postgresql if url.get_backend_name() == "postgresql" else {}) | {
        "json_serializer": compact_json,
        # Parameters are secrets, payloads and names; an error that nobody foresaw is logged with its statement alone.
        "hide_parameters": True,
        "pool_size": connections,
        "max_overflow": 2,
        "pool_timeout": LOCK_TIMEOUT,
    }


def prepare_engine(engine: Engine, settings: DatabaseSettings = DEFAULT_SETTINGS) -> None:
    """Give SQLite its pragmas, a function that folds case and explicit transactions, and PostgreSQL its limits."""
    if engine.dialect.name == "postgresql":
        postgresql.prepare_engine(engine, settings)
        return

    @sa.event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, record: Any) -> None:
        # The driver would begin transactions by rules of its own; "begin" below does it by ours.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={LOCK_TIMEOUT * 1000}",
            "journal_mode=WAL",
            f"synchronous={settings.sqlite_synchronous}",
            "foreign_keys=ON",
            f"journal_size_limit={MAX_WAL_SIZE}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        casefold.prepare_connection(connection)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options().get("sqlite_begin", "BEGIN")
        if begin:
            connection.exec_driver_sql(begin)


def get_wal_size(engine: Engine) -> int | None:
    """Return the bytes of SQLite's write-ahead log, ``None`` on another engine."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    wal = Path(f"{engine.url.database}-wal")
    return wal.stat().st_size if wal.exists() else 0
