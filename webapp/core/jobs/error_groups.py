"""Which failures are the same: an error's telling line, without what differs from run to run.

Two jobs failed alike if they are of one type and what is left of that line is equal. The job keeps a short mark of
both, so that failures are counted, and found again, by an index alone and never by their texts.
"""

import hashlib
import re

READ = 1_000
"""Characters of the line that are looked at;"""
LIMIT = 300
"""and of what is left of it, that count."""
MARK = re.compile(r"[0-9a-f]{16}")
GONE = "…"
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
_AGAIN = re.compile(rf"{GONE}(?:[\s,]*{GONE})+")


def pattern(error: str | None) -> str:
    """An error's telling line with ``GONE`` for every number, id, address, path and quoted text; empty without one."""
    line = _BLANK.sub(" ", _telling_line(error or "").strip()[:READ])
    return _AGAIN.sub(GONE, _VARYING.sub(_shortened, line))[:LIMIT]


def mark(type: str, error: str | None) -> str:
    """The mark that jobs of one type with one pattern share: 16 hexadecimal digits."""
    return hashlib.sha256(f"{type}\0{pattern(error)}".encode()).hexdigest()[:16]


def _telling_line(error: str) -> str:
    """The first line that says anything; of a Python traceback the one that names the exception, below all frames."""
    frames = list(_FRAME.finditer(error))
    below = error[frames[-1].end() :].split("\n") if frames else []
    named = next((line for line in below if line.strip() and not line[0].isspace()), None)
    return named or next((line for line in error.split("\n") if line.strip()), "")


def _shortened(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    return found["kept"] or f"{quote}{GONE}{quote}"
