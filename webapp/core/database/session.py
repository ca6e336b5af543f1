"""Owns ``db``: the session and the engine that the core reads and writes with, whoever made them.

The core knows no web framework. ``webapp.extensions`` binds the session and the engine of the app that runs.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, scoped_session


class Database:
    """Give the core its session and its engine, once ``bind`` has said where they come from."""

    def __init__(self) -> None:
        self._session: scoped_session[Session] | None = None
        self._get_engine: Callable[[], Engine] | None = None

    def bind(self, session: scoped_session[Any], get_engine: Callable[[], Engine]) -> None:
        """Take the session, and the function that returns the engine of whatever app is at work."""
        self._session = session
        self._get_engine = get_engine

    @property
    def session(self) -> scoped_session[Session]:
        """Return the session of the thread or request at work. Raises ``RuntimeError`` before ``bind``."""
        if self._session is None:
            raise RuntimeError("No database is bound to the core.")
        return self._session

    @property
    def engine(self) -> Engine:
        """Return the engine of the app at work. Raises ``RuntimeError`` before ``bind``."""
        if self._get_engine is None:
            raise RuntimeError("No database is bound to the core.")
        return self._get_engine()


db = Database()
