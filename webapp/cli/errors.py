"""Prints an error to the administrator as one line on standard error, with exit code 1 and never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from webapp.core.database.errors import is_unavailable, lacks_migration
from webapp.core.errors import CoreError
from webapp.core.validation import escape_unseen

NOT_MIGRATED = "The database is not up to date; run `flask --app wsgi db upgrade` first."
TOO_NEW = (
    "A later version of Callboard has migrated this database, and this one cannot work with it any more; update it."
)


def describe_driver_error(error: SQLAlchemyError) -> str:
    """Return what the database or its driver said, as one sentence."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = str(cause).strip()
    first_line = text.splitlines()[0] if text else type(cause).__name__
    if is_unavailable(error):
        return f"The database did not answer; check DATABASE_URL and that it runs: {first_line}"
    return f"The database refused this; check DATABASE_URL: {first_line}"


def describe_database_error(error: SQLAlchemyError) -> str:
    """Return what is wrong with the database, as one sentence that says what to do."""
    return NOT_MIGRATED if lacks_migration(error) else describe_driver_error(error)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn an error of the core or of the database into one that click prints as one line."""
    try:
        yield
    except CoreError as error:
        raise click.ClickException(escape_unseen(str(error))) from None
    except SQLAlchemyError as error:
        raise click.ClickException(describe_database_error(error)) from None
    except UnicodeError:
        raise click.ClickException("What was given is not valid UTF-8 text; check the terminal's encoding.") from None


class CommandGroup(AppGroup):
    """Groups the commands about one noun, and prints every error of the core as one line."""

    def invoke(self, ctx: click.Context) -> Any:
        with errors_in_one_line():
            return super().invoke(ctx)
