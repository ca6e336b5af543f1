"""The name of a request: in its answer, in every error, in the log."""

import re
import uuid

from flask import g, request

_SANE = re.compile(r"[\x21-\x7e]{1,128}")


def request_id() -> str:
    """The caller's name for this request, if it sent a sane one, else one of ours."""
    if "request_id" not in g:
        sent = request.environ.get("HTTP_X_REQUEST_ID", "")
        g.request_id = sent if _SANE.fullmatch(sent) else str(uuid.uuid4())
    return str(g.request_id)
