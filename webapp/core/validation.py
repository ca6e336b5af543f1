"""Checks that several nouns share: what may be a name, and what is an address on the web."""

import re
from urllib.parse import urlsplit

from webapp.core.errors import Fault

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""What breaks a line, or what no database keeps."""


def find_name_faults(name: str, limit: int) -> list[Fault]:
    """Return what is wrong with a name of at most ``limit`` characters; spaces at its ends do not count."""
    if not 1 <= len(name.strip()) <= limit or _CONTROL.search(name.strip()):
        return [Fault(("name",), f"A name of 1 to {limit} characters, in one line.")]
    return []


def is_http_address(text: str) -> bool:
    """Return whether a text is an absolute address with the scheme http or https, a host and, if any, a valid port."""
    try:
        parts = urlsplit(text)
        # Reading the port raises ValueError where it is no number or beyond 65535.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
