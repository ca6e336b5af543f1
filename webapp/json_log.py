"""The log of a server and of the chores: one JSON object a line, with the id of the request or run that it speaks of.

A line carries what was logged and nothing of the request but its id: no address, no header, no body.
"""

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

from flask import has_request_context

from webapp.request_id import request_id

log = logging.getLogger(__name__)

_about: ContextVar[Mapping[str, str]] = ContextVar("about")


@contextmanager
def about(**names: str) -> Iterator[None]:
    """Let every line of this block carry these names, so that what belongs together is found together."""
    mark = _about.set(names)
    try:
        yield
    finally:
        _about.reset(mark)


class JsonFormatter(logging.Formatter):
    """``at``, ``level``, ``logger``, ``message``, ``request_id`` inside a request, ``trace`` of an error, and what the
    line is ``about``. The server's own lines get it by ``granian_log.json``.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= _about.get({})
        if has_request_context():
            line["request_id"] = request_id()
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_json() -> None:
    """Let everything that this process logs, from a warning on, be such a line on standard error.

    What Python itself would print there, of warnings and of errors that nobody caught, is logged as well.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_the_end
    threading.excepthook = _log_the_end_of_a_thread


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("The process ends by an error.", exc_info=(kind, error, trace))


def _log_the_end_of_a_thread(end: threading.ExceptHookArgs) -> None:
    name = end.thread.name if end.thread else "unknown"
    log.error("The thread %s ended by an error.", name, exc_info=end.exc_value)
