"""Keeps names that are written from right to left from scrambling the text beside them."""

import re
import unicodedata

_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_CONTROLS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = frozenset(("R", "AL", "AN", "RLE", "RLO", "RLI"))


def has_right_to_left(text: str) -> bool:
    """Return whether something in a text is written from right to left."""
    return not text.isascii() and any(map(_RIGHT_TO_LEFT.__contains__, map(unicodedata.bidirectional, text)))


def isolate(text: str) -> str:
    """Return a name as plain text takes it up: one from right to left in isolates, any other as it is.

    Markup has the element ``bdi`` for the same; an attribute, a toast and a mail have not.
    """
    if not has_right_to_left(text):
        return text
    # Within isolates a control of the name's own could end them.
    return f"{_FIRST_STRONG_ISOLATE}{_CONTROLS.sub('', text)}{_POP_ISOLATE}"
