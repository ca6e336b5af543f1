"""How a refusal reaches the administrator: one line on standard error and exit code 1, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from webapp.core.database.errors import is_unavailable, lacks_migration
from webapp.core.errors import CoreError

NOT_MIGRATED = "The database is not up to date; run `flask --app wsgi db upgrade` first."


class NounGroup(AppGroup):
    """The commands of one noun, with every refusal of the core told in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        with told_in_one_line():
            return super().invoke(ctx)


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what the core or the database refuses into an error that click prints as one line."""
    try:
        yield
    except CoreError as error:
        raise click.ClickException(str(error)) from None
    except SQLAlchemyError as error:
        raise click.ClickException(database_trouble(error)) from None
    except UnicodeError:
        raise click.ClickException("What was given is not valid UTF-8 text; check the terminal's encoding.") from None


def database_trouble(error: SQLAlchemyError) -> str:
    """What is wrong with the database, as one sentence that says what to do."""
    return NOT_MIGRATED if lacks_migration(error) else words_of_the_database(error)


def words_of_the_database(error: SQLAlchemyError) -> str:
    """What the database or its driver said, as one sentence."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    told = str(cause).strip()
    first_line = told.splitlines()[0] if told else type(cause).__name__
    if is_unavailable(error):
        return f"The database did not answer; check DATABASE_URL and that it runs: {first_line}"
    return f"The database refused this; check DATABASE_URL: {first_line}"
