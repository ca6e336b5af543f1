"""Groups failures that are the same: by the line of an error that names it, without what differs from run to run.

Two jobs are of one group if they are of one type and what is left of that line is equal. The job keeps a fingerprint of
both, so that failures are counted, and found again, by an index alone and never by their texts.
"""

import hashlib
import re

LINE_LIMIT = 1_000
"""Characters of the line that are read."""
PATTERN_LIMIT = 300
"""Characters of a pattern."""
FINGERPRINT = re.compile(r"[0-9a-f]{16}")
PLACEHOLDER = "…"
"""Stands where something was that differs from run to run."""

_VARYING = re.compile(
    r"""
      # What says which error it was stays: "status code 502", "exit code 137", "[Errno 28]".
      (?P<kept> \b (?:errno|code|status|http|exit|signal) [\s:=#]{0,2} \d{1,3} (?![\w.]) )
    | (?<!\w) (?P<quote>["'`]) (?: (?! (?P=quote) (?!\w) ) . )* (?P=quote)
    | https?:// [^\s"'<>)\]]+
    | (?<![\w.+-]) [\w.+-]{1,64} @ [\w-]+ (?:\.[\w-]+)+
    | (?<![\w…]) (?:[A-Za-z]:)? (?:[\\/] [\w.@%+~-]+){2,} [\\/]?
    | (?<![^\W_]) [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12} (?![^\W_])
    | \d{4}-\d\d-\d\d (?: [T ] \d\d:\d\d (?: :\d\d (?:[.,]\d+)? )? (?: Z | [+-]\d\d:?\d\d )? )?
    | (?<![^\W_]) 0x [0-9a-f]+
    # Hexadecimal digits and random letters, if there is a number among them: else it may be a word.
    | (?<![^\W_]) (?=[a-f]*\d) [0-9a-f]{8,} (?![^\W_])
    | (?<![^\W_]) (?=[a-z]*\d) [a-z0-9]{12,} (?![^\W_])
    | (?: (?<![\w)\]…]) [+-] )? \d+ (?:[.,:/-]\d+)*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FRAME = re.compile(r'^  File ".*$', re.MULTILINE)
_BLANK = re.compile(r"\s+")
_REPEATED = re.compile(rf"{PLACEHOLDER}(?:[\s,]*{PLACEHOLDER})+")


def _find_naming_line(error: str) -> str:
    """Return the first line that is not blank; of a Python traceback, the one below all frames with the exception."""
    frames = list(_FRAME.finditer(error))
    below = error[frames[-1].end() :].split("\n") if frames else []
    exception = next((line for line in below if line.strip() and not line[0].isspace()), None)
    return exception or next((line for line in error.split("\n") if line.strip()), "")


def _replace(varying: re.Match[str]) -> str:
    quote = varying["quote"] or ""
    return varying["kept"] or f"{quote}{PLACEHOLDER}{quote}"


def make_pattern(error: str | None) -> str:
    """Return the line that names an error, with ``PLACEHOLDER`` for every number, id, address, path and quoted text.

    Empty without an error.
    """
    line = _BLANK.sub(" ", _find_naming_line(error or "").strip()[:LINE_LIMIT])
    return _REPEATED.sub(PLACEHOLDER, _VARYING.sub(_replace, line))[:PATTERN_LIMIT]


def make_fingerprint(type: str, error: str | None) -> str:
    """Return what jobs of one type with one pattern share: 16 hexadecimal digits."""
    return hashlib.sha256(f"{type}\0{make_pattern(error)}".encode()).hexdigest()[:16]
