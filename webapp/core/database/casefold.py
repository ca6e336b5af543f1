"""Looks for a text in a column whatever the case of either, in every script and whatever the locale of the database."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from webapp.core.database.session import db

_Text = sa.ColumnElement[str]
_Fold = Callable[[_Text], _Text]

_CONTAINS = "contains_casefolded"
_FOLDS: Mapping[str, _Fold] = {
    # From PostgreSQL 18 on; it costs half of what lower() takes in most locales.
    "pg_unicode_fast": lambda text: sa.func.casefold(sa.collate(text, "pg_unicode_fast")),
    # By ICU. Upper case alone knows that ß is SS and that ς is σ, lower case alone that İ is i with its dot.
    "und-x-icu": lambda text: sa.func.upper(sa.func.lower(sa.collate(text, "und-x-icu"))),
    # From PostgreSQL 17 on, letter by letter.
    "pg_c_utf8": lambda text: sa.func.lower(sa.collate(text, "pg_c_utf8")),
}
"""By the collation that it takes, how PostgreSQL folds case; the best first."""
_COLLATIONS = sa.text(
    """
    SELECT collname FROM pg_catalog.pg_collation
    WHERE collnamespace = 'pg_catalog'::regnamespace AND collname = ANY(:names)
    AND collencoding IN (-1, (SELECT encoding FROM pg_catalog.pg_database WHERE datname = current_database()))
    """
)


def prepare_connection(connection: sqlite3.Connection) -> None:
    """Give a connection to SQLite, which knows the case of ASCII alone, the function that ``contains`` calls."""
    connection.create_function(_CONTAINS, 2, _contains_casefolded, deterministic=True)


def _contains_casefolded(text: str | None, casefolded: str) -> bool | None:
    return None if text is None else casefolded in text.casefold()


def contains(column: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a column contains a text, whatever the case of either."""
    if db.engine.dialect.name == "sqlite":
        return getattr(sa.func, _CONTAINS)(column, text.casefold(), type_=sa.Boolean())  # type: ignore[no-any-return]
    fold = _choose_fold()
    return sa.func.strpos(fold(column), fold(sa.literal(text, sa.Text()))) > 0


def _choose_fold() -> _Fold:
    """Return how this database folds case best; by its own locale, if it has none of our collations."""
    known = set(db.session.scalars(_COLLATIONS, {"names": list(_FOLDS)}))
    return next((fold for name, fold in _FOLDS.items() if name in known), sa.func.lower)
