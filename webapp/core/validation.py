"""Checks what people type in: names."""

import re

from webapp.core.errors import Fault

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""What breaks a line, or what no database keeps."""


def find_name_faults(name: str, limit: int) -> list[Fault]:
    """Return what is wrong with a name of at most ``limit`` characters; spaces at its ends do not count."""
    if not 1 <= len(name.strip()) <= limit or _CONTROL.search(name.strip()):
        return [Fault(("name",), f"A name of 1 to {limit} characters, in one line.")]
    return []
