"""Checks that several nouns share: what may be a name, and what is an address on the web."""

import json
import re
from urllib.parse import urlsplit

from webapp.core.errors import Fault

_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters of control, of direction and without width, with which a name looks like another, or rules a terminal.

The joiners U+200C and U+200D are not among them: words of several languages are written with them.
"""
_NOTHING = re.compile(r"[\s\u200c\u200d]*")


def find_name_faults(name: str, limit: int) -> list[Fault]:
    """Return what is wrong with a name of at most ``limit`` characters; spaces at its ends do not count."""
    name = name.strip()
    if _NOTHING.fullmatch(name) or len(name) > limit or any(character < " " for character in name):
        return [Fault(("name",), f"A name of 1 to {limit} characters, in one line.")]
    if _UNSEEN.search(name):
        return [Fault(("name",), "A name without invisible characters.")]
    return []


def escape_unseen(text: str) -> str:
    """Return a text with every character that nobody sees written as JSON does, ``\\u202e``, for a terminal."""
    # Nearly every text has none, and to ask for that is quicker than to search.
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in "\t\n":
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else json.dumps(character)[1:-1]


def is_http_address(text: str) -> bool:
    """Return whether a text is an absolute address with the scheme http or https, a host and, if any, a valid port."""
    try:
        parts = urlsplit(text)
        # Reading the port raises ValueError where it is no number or beyond 65535.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
