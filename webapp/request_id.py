"""Names a request by an id that stands in its answer, in every error and in the log."""

import re
import uuid

from flask import g, request

_ACCEPTABLE = re.compile(r"[\x21-\x7e]{1,128}")


def get_request_id() -> str:
    """Return the id that the caller sent for this request, if it is a sane one, else one of our own."""
    if "request_id" not in g:
        sent = request.environ.get("HTTP_X_REQUEST_ID", "")
        g.request_id = sent if _ACCEPTABLE.fullmatch(sent) else str(uuid.uuid4())
    return str(g.request_id)
