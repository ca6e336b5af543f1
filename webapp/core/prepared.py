"""Statements of the hot path: written with SQLAlchemy, compiled once, and sent straight through the driver.

What SQLAlchemy does around a statement costs several times what the driver does. A report of progress is two
statements; for these, and for few others, that way is left out. Connections still come from the pool, values still pass
through the types of their columns, and errors are those that SQLAlchemy would raise. Each is a transaction by itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from webapp.extensions import db

_Execute = Callable[..., Any]
Line = Mapping[sa.Column[Any], sa.BindParameter[Any]]
"""A row of another table, given with the values of the statement."""


def line(name: str, table: sa.Table, columns: Iterable[str]) -> Line:
    """A row of which these columns are given, as ``values_of`` names them."""
    return {table.c[column]: sa.bindparam(f"{name}_{column}", type_=table.c[column].type) for column in columns}


def values_of(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row under names that no other row of the statement has."""
    return {f"{name}_{column}": value for column, value in row.items()}


class Prepared:
    """A statement that is sent often, and gives back these columns of one row.

    ``lines`` are written with it, if it gives back a row: all or nothing.
    """

    def __init__(self, statement: Any, columns: Sequence[sa.Column[Any]], *, lines: Sequence[Line] = ()) -> None:
        self._statement = statement
        self._columns = columns
        self._lines = lines
        self._compiled: dict[str, _Compiled | _Several] = {}

    def first(self, values: Mapping[str, Any]) -> list[Any] | None:
        """Send it with these values; its first row, if it gives one. Raises what SQLAlchemy would raise."""
        engine = db.engine
        compiled = self._compiled.get(engine.dialect.name)
        if compiled is None:
            compiled = self._compiled[engine.dialect.name] = self._compile(engine.dialect)
        connection = None
        try:
            connection = engine.raw_connection()
            row = compiled.send(_executor(connection, engine.dialect), values)
        except engine.dialect.loaded_dbapi.Error as error:
            raise _told(engine, connection, compiled.text, error) from error
        finally:
            if connection is not None:
                connection.close()
        return None if row is None else compiled.loaded(row)

    def _compile(self, dialect: Dialect) -> "_Compiled | _Several":
        if not self._lines:
            return _Compiled(self._statement, self._columns, dialect)
        if dialect.name == "sqlite":
            return _Several(
                _Compiled(self._statement, self._columns, dialect),
                [_Compiled(_insert(line).values(_named(line)), (), dialect) for line in self._lines],
            )
        # PostgreSQL takes them all in one statement, which costs hardly more than the first alone.
        written = self._statement.cte("written")
        whole = sa.select(*written.c)
        for number, line in enumerate(self._lines):
            row = sa.select(*line.values()).select_from(written)
            whole = whole.add_cte(_insert(line).from_select(list(_named(line)), row).cte(f"line_{number}"))
        return _Compiled(whole, self._columns, dialect)


def _insert(line: Line) -> sa.Insert:
    return sa.insert(next(iter(line)).table)


def _named(line: Line) -> Mapping[str, sa.BindParameter[Any]]:
    return {column.name: value for column, value in line.items()}


class _Compiled:
    """The text of a statement for one engine, and what its values pass through on their way there and back."""

    def __init__(self, statement: Any, columns: Sequence[sa.Column[Any]], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._places = compiled.positiontup
        ways = {
            name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in compiled.params
        }
        self._there = [(name, way) for name, way in ways.items() if way and compiled.params[name] is None]
        self._constants = {
            name: way(value) if (way := ways[name]) else value
            for name, value in compiled.params.items()
            if value is not None
        }
        back = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._back = [(number, way) for number, way in enumerate(back) if way]

    def send(self, execute: _Execute, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, as the driver gives it."""
        given = {**self._constants, **values}
        for name, way in self._there:
            given[name] = way(given[name])
        sent = given if self._places is None else [given[name] for name in self._places]
        row: Sequence[Any] | None = execute(self.text, sent).fetchone()
        return row

    def loaded(self, row: Sequence[Any]) -> list[Any]:
        """The row as the types of its columns have it."""
        loaded = list(row)
        for number, way in self._back:
            if loaded[number] is not None:
                loaded[number] = way(loaded[number])
        return loaded


class _Several:
    """A statement and its lines in one transaction of SQLite."""

    def __init__(self, first: _Compiled, lines: Sequence[_Compiled]) -> None:
        self._first = first
        self._lines = lines
        self.text = first.text
        self.loaded = first.loaded

    def send(self, execute: _Execute, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row. After an error the transaction is open still: the pool rolls back whatever comes home so."""
        execute("BEGIN IMMEDIATE")
        row = self._first.send(execute, values)
        if row is not None:
            for line in self._lines:
                line.send(execute, values)
        execute("COMMIT")
        return row


def _executor(connection: PoolProxiedConnection, dialect: Dialect) -> _Execute:
    """What sends a statement, and gives a cursor on its answer.

    PostgreSQL's stays with its connection, and reads numbers and moments as bytes. SQLite's is a new one each time: as
    long as one with rows left is kept, so is the lock.
    """
    sender: Any = connection.driver_connection
    if dialect.name == "postgresql":
        sender = connection.info.get("prepared") or sender.cursor(binary=True)
        connection.info["prepared"] = sender
    return sender.execute  # type: ignore[no-any-return]


def _told(engine: Engine, connection: PoolProxiedConnection | None, text: str, error: Any) -> BaseException:
    """The driver's error as SQLAlchemy tells it. Of a server that is gone no connection is used again."""
    gone = connection is not None and engine.dialect.is_disconnect(error, connection.dbapi_connection, None)
    if connection is not None and gone:
        connection.invalidate(error)
        engine.dispose()
    told: BaseException = DBAPIError.instance(
        text, None, error, engine.dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=engine.dialect
    )
    return told
