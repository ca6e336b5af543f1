"""Tells what a failed statement means: that the database is away or busy, or that a migration is missing."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

from webapp.core.database.postgresql import ends_connection

# What SQLite, and PostgreSQL by its codes for an undefined table and an undefined column, say of a missing migration.
_SQLITE_MESSAGES = ("no such table", "no such column", "has no column named")
_POSTGRESQL_CODES = ("42P01", "42703")


def lacks_migration(error: SQLAlchemyError) -> bool:
    """Return whether a statement failed because the database is older than this program, or empty."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if getattr(cause, "sqlstate", None) in _POSTGRESQL_CODES:
        return True
    return isinstance(error, OperationalError) and any(message in str(cause) for message in _SQLITE_MESSAGES)


def is_unavailable(error: SQLAlchemyError) -> bool:
    """Return whether the database is away, busy or not migrated yet: the same request may succeed later, as it is.

    A missing migration is among them so that no runner gives up its report during an upgrade.
    """
    if isinstance(error, DBAPIError) and ends_connection(error.orig):
        return True
    return isinstance(error, OperationalError | InterfaceError | TimeoutError) or lacks_migration(error)


def describe_without_values(error: DBAPIError) -> str:
    """Return what the driver said and the statement, without the values that a row or a parameter held."""
    # PostgreSQL repeats a whole row in its DETAIL, and a value that is no number, or too long, in the message itself.
    cause, code = error.orig, getattr(error.orig, "sqlstate", None)
    message = str(cause) if code is None else getattr(cause, "diag").message_primary or ""  # noqa: B009
    if (code or "").startswith("22"):
        message = f"SQLSTATE {code}"
    return f"{type(cause).__name__}: {message}\n[SQL: {error.statement}]"
