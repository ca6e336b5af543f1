"""Statements of the hot path: written with SQLAlchemy, compiled once, and sent straight through the driver.

What SQLAlchemy does around a statement costs several times what the driver does. A report of progress is two
statements; for these, and for few others, that way is left out. Connections still come from the pool, values still pass
through the types of their columns, and errors are those that SQLAlchemy would raise. Each statement is a transaction by
itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from webapp.extensions import db


class Prepared:
    """A statement that is sent often, and gives back these columns of one row."""

    def __init__(self, statement: sa.Select[Any] | sa.Update, columns: Sequence[sa.Column[Any]]) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def first(self, values: Mapping[str, Any]) -> list[Any] | None:
        """Send it with these values; its first row, if it gives one. Raises what SQLAlchemy would raise."""
        engine = db.engine
        compiled = self._compiled.get(engine.dialect.name)
        if compiled is None:
            compiled = _Compiled(self._statement, self._columns, engine.dialect)
            self._compiled[engine.dialect.name] = compiled
        connection = None
        try:
            connection = engine.raw_connection()
            row = compiled.send(connection.driver_connection, values)
        except engine.dialect.loaded_dbapi.Error as error:
            raise _told(engine, connection, compiled.text, error) from error
        finally:
            if connection is not None:
                connection.close()
        return None if row is None else compiled.loaded(row)


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

    def send(self, driver: Any, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, as the driver gives it."""
        given = {**self._constants, **values}
        for name, way in self._there:
            given[name] = way(given[name])
        sent = given if self._places is None else [given[name] for name in self._places]
        row: Sequence[Any] | None = driver.execute(self.text, sent).fetchone()
        return row

    def loaded(self, row: Sequence[Any]) -> list[Any]:
        """The row as the types of its columns have it."""
        loaded = list(row)
        for number, way in self._back:
            if loaded[number] is not None:
                loaded[number] = way(loaded[number])
        return loaded


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
