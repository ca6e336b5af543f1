"""Finds the passwords that are guessed first: common ones, repetitive ones, and those made of the account's own words.

The list of common ones is a file and no package: zxcvbn, which ships it, estimates by itself how hard a password is to
guess, but takes seconds over some of 70 characters and 14 MB of every process.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

MIN_DISTINCT = 5
"""Characters that a password has at least, each counted once."""
MIN_OWN_PART = 5
"""Letters and digits that stay at least once the words that anybody knows of an account are taken away."""
MIN_WORD = 3
"""Characters of such a word; a shorter one is in too many passwords by chance."""
PRODUCT_WORDS = ("callboard",)
_LIST = Path(__file__).with_name("common_passwords.txt")


def find_weakness(password: str, known_words: Iterable[str] = ()) -> str | None:
    """Return why a password is easy to guess and what to do, ``None`` if it is not.

    ``known_words`` are what others know of its account: the name and the address.
    """
    folded = password.casefold()
    if folded.strip() in _read_common_passwords():
        return "This is one of the most common passwords. Choose another."
    if len(set(folded)) < MIN_DISTINCT:
        return f"Use at least {MIN_DISTINCT} different characters."
    if _is_sequence(folded):
        return "Don't use characters in their usual order. Choose another password."
    if _is_made_of(folded, known_words):
        return "Don't use your name, your email address or the word Callboard. Choose another password."
    return None


@cache
def _read_common_passwords() -> frozenset[str]:
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def _is_sequence(text: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return len(steps) == 1


def _is_made_of(folded: str, known_words: Iterable[str]) -> bool:
    rest = _letters_and_digits(folded)
    # The longest first: a part of it alone would leave the other part.
    for word in sorted(set(_split(known_words)), key=len, reverse=True):
        rest = rest.replace(word, "")
    return len(rest) < MIN_OWN_PART


def _split(known_words: Iterable[str]) -> Iterator[str]:
    """Yield each text without its spaces and signs, and the words in it that are long enough."""
    for text in (*known_words, *PRODUCT_WORDS):
        folded = text.casefold()
        words = "".join(letter if letter.isalnum() else " " for letter in folded).split()
        yield from (word for word in (_letters_and_digits(folded), *words) if len(word) >= MIN_WORD)


def _letters_and_digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())
