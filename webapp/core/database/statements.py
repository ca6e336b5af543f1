"""Compiles the statements of the hot path once, and sends them straight through the driver.

What SQLAlchemy does around a statement costs several times what the driver does. A report of progress is two
statements; for these, and for few others, that way is left out. Connections still come from the pool, values still pass
through the types of their columns, and errors are those that SQLAlchemy would raise. Each is a transaction by itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from webapp.core.database.postgresql import ends_connection
from webapp.core.database.session import db

ExtraRow = Mapping[sa.Column[Any], sa.BindParameter[Any]]
"""A row of another table, written with the row of the statement; its values are given with the statement's."""

_Execute = Callable[..., Any]


def extra_row(prefix: str, table: sa.Table, columns: Iterable[str]) -> ExtraRow:
    """Describe a row of these columns, whose values have the names that ``prefixed`` gives them."""
    return {table.c[column]: sa.bindparam(f"{prefix}_{column}", type_=table.c[column].type) for column in columns}


def prefixed(prefix: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Name the values of a row as no other row of the statement names them."""
    return {f"{prefix}_{column}": value for column, value in row.items()}


def upsert(
    table: sa.Table, key: dict[str, Any], values: dict[str, Any], *, where: sa.ColumnElement[bool] | None = None
) -> postgresql.Insert:
    """Build a statement that inserts a row, or updates the row that is there, that only if ``where`` holds for it.

    ``key`` has the columns of the primary key with their values.
    """
    insert = insert_of_engine()(table).values(key | values)
    return insert.on_conflict_do_update(index_elements=list(key), set_=values, where=where)


def insert_of_engine() -> type[postgresql.Insert]:
    """Return the ``Insert`` of the engine at work, which knows what to do on a conflict; both spell it alike."""
    insert: Any = postgresql.Insert if db.engine.dialect.name == "postgresql" else sqlite.Insert
    return insert  # type: ignore[no-any-return]


def _insert(row: ExtraRow) -> sa.Insert:
    return sa.insert(next(iter(row)).table)


def _by_name(row: ExtraRow) -> Mapping[str, sa.BindParameter[Any]]:
    return {column.name: value for column, value in row.items()}


class _Compiled:
    """Hold the text of a statement for one engine, and what converts its values on their way there and back."""

    def __init__(self, statement: Any, columns: Sequence[sa.Column[Any]], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._positions = compiled.positiontup
        converters = {
            name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in compiled.params
        }
        self._bind_converters = [
            (name, convert) for name, convert in converters.items() if convert and compiled.params[name] is None
        ]
        self._constants = {
            name: convert(value) if (convert := converters[name]) else value
            for name, value in compiled.params.items()
            if value is not None
        }
        results = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._result_converters = [(number, convert) for number, convert in enumerate(results) if convert]

    def send(self, execute: _Execute, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Run the statement and return its first row as the driver gives it, or ``None``."""
        parameters = {**self._constants, **values}
        for name, convert in self._bind_converters:
            parameters[name] = convert(parameters[name])
        sent = parameters if self._positions is None else [parameters[name] for name in self._positions]
        row: Sequence[Any] | None = execute(self.text, sent).fetchone()
        return row

    def convert(self, row: Sequence[Any]) -> list[Any]:
        """Return the row as the types of its columns have it."""
        converted = list(row)
        for number, convert in self._result_converters:
            if converted[number] is not None:
                converted[number] = convert(converted[number])
        return converted


class _CompiledSequence:
    """Hold a statement and its extra rows, for one transaction of SQLite."""

    def __init__(self, first: _Compiled, extra_rows: Sequence[_Compiled]) -> None:
        self._first = first
        self._extra_rows = extra_rows
        self.text = first.text
        self.convert = first.convert

    def send(self, execute: _Execute, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Run them all and return the first row of the first, or ``None``, in which case no other ran.

        After an error the transaction is still open: the pool rolls back whatever comes home so.
        """
        execute("BEGIN IMMEDIATE")
        row = self._first.send(execute, values)
        if row is not None:
            for extra in self._extra_rows:
                extra.send(execute, values)
        execute("COMMIT")
        return row


class CompiledStatement:
    """A statement that is sent often and gives back these ``columns`` of one row.

    ``extra_rows`` are written with it if it gives back a row: all or nothing.
    """

    def __init__(
        self, statement: Any, columns: Sequence[sa.Column[Any]], *, extra_rows: Sequence[ExtraRow] = ()
    ) -> None:
        self._statement = statement
        self._columns = columns
        self._extra_rows = extra_rows
        self._compiled: dict[str, _Compiled | _CompiledSequence] = {}

    def fetch_first(self, values: Mapping[str, Any]) -> list[Any] | None:
        """Send it with these values and return its first row, or ``None``. Raises what SQLAlchemy would raise."""
        engine = db.engine
        compiled = self._compiled.get(engine.dialect.name)
        if compiled is None:
            compiled = self._compiled[engine.dialect.name] = self._compile(engine.dialect)
        connection = None
        try:
            connection = engine.raw_connection()
            row = compiled.send(_get_executor(connection, engine.dialect), values)
        except engine.dialect.loaded_dbapi.Error as error:
            raise _translate_error(engine, connection, compiled.text, error) from error
        finally:
            if connection is not None:
                connection.close()
        return None if row is None else compiled.convert(row)

    def _compile(self, dialect: Dialect) -> _Compiled | _CompiledSequence:
        if not self._extra_rows:
            return _Compiled(self._statement, self._columns, dialect)
        if dialect.name == "sqlite":
            return _CompiledSequence(
                _Compiled(self._statement, self._columns, dialect),
                [_Compiled(_insert(row).values(_by_name(row)), (), dialect) for row in self._extra_rows],
            )
        # PostgreSQL takes them all in one statement, which costs hardly more than the first alone.
        written = self._statement.cte("written")
        whole = sa.select(*written.c)
        for number, row in enumerate(self._extra_rows):
            values = sa.select(*row.values()).select_from(written)
            whole = whole.add_cte(_insert(row).from_select(list(_by_name(row)), values).cte(f"extra_row_{number}"))
        return _Compiled(whole, self._columns, dialect)


def _get_executor(connection: PoolProxiedConnection, dialect: Dialect) -> _Execute:
    """Return what runs a statement and gives a cursor on its answer.

    PostgreSQL's stays with its connection, and reads numbers and times as bytes. SQLite's is a new one each time: as
    long as one with rows left is kept, so is the lock.
    """
    sender: Any = connection.driver_connection
    if dialect.name == "postgresql":
        sender = connection.info.get("binary_cursor") or sender.cursor(binary=True)
        connection.info["binary_cursor"] = sender
    return sender.execute  # type: ignore[no-any-return]


def _translate_error(engine: Engine, connection: PoolProxiedConnection | None, text: str, error: Any) -> BaseException:
    """Return the driver's error as SQLAlchemy raises it. Of a server that is gone no connection is used again."""
    disconnected = connection is not None and (
        ends_connection(error) or engine.dialect.is_disconnect(error, connection.dbapi_connection, None)
    )
    if connection is not None and disconnected:
        connection.invalidate(error)
        engine.dispose()
    translated: BaseException = DBAPIError.instance(
        text,
        None,
        error,
        engine.dialect.loaded_dbapi.Error,
        connection_invalidated=disconnected,
        dialect=engine.dialect,
    )
    return translated
