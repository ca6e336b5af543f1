"""A text is found whatever the case of either, in every script and whatever the locale of the database."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import dispose, make_app
from tests.support.databases import PostgresServer
from webapp.core.database import casefold
from webapp.core.database.session import db

PAIRS = [
    ("ОШИБКА соединения", "ошибка"),
    ("ошибка соединения", "ОШИБКА"),
    ("Pufferüberlauf", "ÜBERLAUF"),
    ("σφαλμα", "ΣΦΑΛΜΑ"),
    ("ΣΦΆΛΜΑΤΟΣ", "σφάλματος"),
    ("ανοιχτός", "ΑΝΟΙΧΤΌΣ"),
    ("İSTANBUL", "i̇stanbul"),
    ("i̇stanbul", "İSTANBUL"),
    ("Straße", "STRASSE"),
    ("STRASSE", "straße"),
    ("GROẞ", "groß"),
    ("Line 1: CAFÉ\nline 2", "café\nLINE"),
    ("100% FULL_disk", "% full_"),
]


def is_contained(needle: str, text: str | None) -> bool | None:
    return db.session.scalar(sa.select(casefold.contains(sa.literal(text, sa.Text()), needle)))


@pytest.mark.parametrize(("text", "needle"), PAIRS)
def test_a_text_is_found_whatever_the_case_of_either(core: Flask, text: str, needle: str) -> None:
    assert is_contained(needle, text)
    assert not is_contained(f"{needle}x", text)


def test_where_there_is_no_text_nothing_is_found(core: Flask) -> None:
    assert not is_contained("x", None)


@contextmanager
def app_on(server: PostgresServer, encoding: str) -> Iterator[None]:
    """The app on a database without tables, in the locale that knows the case of ASCII alone."""
    name = f"callboard_test_{uuid.uuid4().hex[:12]}"
    locale = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER 'libc'"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 {locale}")
    url = server.url.set(database=name).render_as_string(hide_password=False)
    app = make_app(url)
    try:
        with app.app_context():
            yield
    finally:
        dispose(app)
        server.drop(url)


def test_the_locale_of_a_database_does_not_matter(postgres_server: PostgresServer) -> None:
    with app_on(postgres_server, "UTF8"):
        assert [pair for pair in PAIRS if not is_contained(pair[1], pair[0])] == []


def test_a_database_that_has_none_of_our_collations_is_searched_by_its_own(postgres_server: PostgresServer) -> None:
    with app_on(postgres_server, "LATIN1"):
        assert is_contained("failed", "It FAILED")


def test_an_older_postgresql_folds_letter_by_letter(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = {name: fold for name, fold in casefold._FOLDS.items() if name == "pg_c_utf8"}
    monkeypatch.setattr(casefold, "_FOLDS", folds)
    with app_on(postgres_server, "UTF8"):
        assert [pair for pair in PAIRS[:4] if not is_contained(pair[1], pair[0])] == []
