"""The log of a server and of the chores: one JSON object a line, with the id of the request that it speaks of.

A line carries what was logged and nothing of the request but its id: no address, no header, no body.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from flask import has_request_context

from webapp.request_id import request_id


class JsonFormatter(logging.Formatter):
    """``at``, ``level``, ``logger``, ``message``, ``request_id`` inside a request, ``trace`` of an error."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if has_request_context():
            line["request_id"] = request_id()
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_json() -> None:
    """Let everything that this process logs, from a warning on, be such a line on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
