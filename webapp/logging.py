"""Writes the log of a server and of the chores: one JSON object a line, with the id of its request or run."""

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from flask import has_request_context
from sqlalchemy.exc import DBAPIError

from webapp.core.database.errors import describe_without_values
from webapp.core.validation import escape_unseen
from webapp.request_id import get_request_id

log = logging.getLogger(__name__)

EVENT_FIELDS = ("event", "remote_addr", "account")
"""What a line about an event has besides, given as ``extra``. Filters of other programs are written for this order."""

_context: ContextVar[Mapping[str, str]] = ContextVar("log_context")


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add these fields to every line that is logged inside the block."""
    token = _context.set(fields)
    try:
        yield
    finally:
        _context.reset(token)


class DatabaseFault(Exception):
    """Stands in the log for an error of the database driver."""


class JsonFormatter(logging.Formatter):
    """Formats a record as ``at``, ``level``, ``logger``, ``message``, and what else is known of it.

    That is ``request_id`` inside a request, ``trace`` of an error, the fields of ``log_context``, and of an event that
    other programs look for its ``EVENT_FIELDS``. The server's own lines are formatted so too, by ``granian_log.json``.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= {name: getattr(record, name) for name in EVENT_FIELDS if hasattr(record, name)}
        line |= _context.get({})
        if has_request_context():
            # Of the request its id alone: a URL, a header or a body may hold secrets.
            line["request_id"] = get_request_id()
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return escape_unseen(json.dumps(line, ensure_ascii=False))

    def formatException(self, ei: Any) -> str:
        """Format an error with its trace; one of the database without the values that it was about."""
        kind, error, trace = ei
        if isinstance(error, DBAPIError):
            error = DatabaseFault(describe_without_values(error))
            kind = DatabaseFault
        return super().formatException((kind, error, trace))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("The process ends by an error.", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(hook: threading.ExceptHookArgs) -> None:
    name = hook.thread.name if hook.thread else "unknown"
    log.error("The thread %s ended by an error.", name, exc_info=hook.exc_value)


def log_as_json() -> None:
    """Write everything that this process logs, from a warning on, as JSON lines to standard error.

    Warnings and uncaught errors, which Python itself would print there, are logged as well.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
