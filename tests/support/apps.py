"""The app on a database of its own, and its clients."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from webapp import create_app
from webapp.core.accounts import passwords
from webapp.core.database.session import db

SECRET_KEY = "a secret for tests alone, and of 32 signs"


def make_app(url: str, **environ: str) -> Flask:
    """The app as a server would make it, on the given database; CSRF protection stays on."""
    app = create_app(environ={"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY} | environ, TESTING=True)
    assert app.config.get("WTF_CSRF_ENABLED", True)
    return app


def dispose(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real hash takes 64 MiB and a tenth of a second; that it does is accounts' business, not every test's."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(passwords, "_NOBODY", passwords.hash_password("nobody has this one"))


@pytest.fixture(scope="session")
def app_on() -> Callable[..., Flask]:
    """``make_app``, done once in each process: to make it takes longer than most tests."""
    return cache(make_app)


@pytest.fixture
def settings() -> Mapping[str, str]:
    """What the administrator has set, by the names of the environment; a file of tests may say otherwise."""
    return {}


@pytest.fixture
def app(url: str, settings: Mapping[str, str], app_on: Callable[..., Flask]) -> Iterator[Flask]:
    """The app, without a context pushed, so that every request has a database session of its own."""
    app = app_on(url, **settings)
    yield app
    dispose(app)


@pytest.fixture
def core(app: Flask) -> Iterator[Flask]:
    """For tests that call the core itself: the app with its context pushed. Not together with ``client``."""
    with app.app_context():
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
