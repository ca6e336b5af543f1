"""Hashes passwords, two at a time, and says which may be one."""

import os
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webapp.core.accounts.weak_passwords import find_weakness
from webapp.core.errors import Fault, Invalid, TooManyRequests

T = TypeVar("T")

MIN_LENGTH = 10
MAX_LENGTH = 1000
"""Characters. The upper bound is there so that nobody makes the board hash a megabyte."""

HASHES_AT_ONCE = 2
"""A hash takes 64 MiB and all processors for a while: this bounds what a flood of sign-ins can take."""
HASHES_WAITING = 2
"""Whoever comes while so many wait is refused at once: each one who waits holds a thread of the server."""

_hasher = PasswordHasher()
_places = threading.BoundedSemaphore(HASHES_AT_ONCE + HASHES_WAITING)
_thread = threading.local()


def _yield_to_others() -> None:
    """Have Linux prefer other threads to this one, and to those that it starts, when the processors are busy."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


_threads = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="hash", initializer=_yield_to_others)


class TooManyAttempts(TooManyRequests):
    """Too many attempts failed, or too many people sign in at this moment."""


@contextmanager
def reserve_place() -> Iterator[None]:
    """Hold a place among the few who hash or wait for it, to the end of the block.

    Whoever has work to do before hashing takes it first. Inside another block of the same thread it is that one's.
    Raises ``TooManyAttempts`` at once if there is none.
    """
    if getattr(_thread, "has_place", False):
        yield
        return
    if not _places.acquire(blocking=False):
        raise TooManyAttempts("Many people are signing in right now. Try again in a few seconds.", 2)
    _thread.has_place = True
    try:
        yield
    finally:
        _thread.has_place = False
        _places.release()


def _do_in_turn(function: Callable[..., T], *arguments: str) -> T:
    """Return what a hashing function returns. Raises ``TooManyAttempts`` at once if too many wait for their turn."""
    with reserve_place():
        return _threads.submit(function, *arguments).result()


def normalize_password(password: str) -> str:
    """Return a password as it is hashed: a letter with its accent is one character, however a keyboard sends it."""
    return unicodedata.normalize("NFC", password)


def hash_password(password: str) -> str:
    """Return the Argon2 hash of a password, with its salt and parameters. Raises ``TooManyAttempts``."""
    return _do_in_turn(_hasher.hash, normalize_password(password))


def needs_rehash(password_hash: str) -> bool:
    """Return whether a hash was made with other parameters than new ones are."""
    return _hasher.check_needs_rehash(password_hash)


_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5bm9ib2R5bm9i$bYFl/BC9b4SnmXtZJhhSPBYDSIyuh0hmNqSMkJ9YQbM"
"""A hash that no password fits, so that an unknown account takes as long to refuse as a known one."""


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether a password fits a hash. ``None`` is the hash of no account: nothing fits, in the same time.

    Raises ``TooManyAttempts``.
    """
    # What is over the limit fits nothing, and need not be hashed whole.
    password = password[: MAX_LENGTH + 1]
    normalized = normalize_password(password)
    with reserve_place():
        # What was hashed before passwords were normalized, was hashed as it was typed.
        return _verify(password_hash, normalized) or (password != normalized and _verify(password_hash, password))


def _verify(password_hash: str | None, password: str) -> bool:
    try:
        return _do_in_turn(_hasher.verify, password_hash or _NOBODY, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def require_sound_password(password: str, *known_words: str) -> None:
    """Refuse a new password as ``find_password_faults`` does. Raises ``Invalid``."""
    if faults := find_password_faults(password, *known_words):
        raise Invalid(faults)


def find_password_faults(password: str, *known_words: str) -> list[Fault]:
    """Return what is wrong with a new password; ``known_words`` are what others know of its account."""
    normalized = normalize_password(password)
    if not MIN_LENGTH <= len(normalized) <= MAX_LENGTH:
        return [Fault(("password",), f"A password of {MIN_LENGTH} to {MAX_LENGTH} characters.")]
    weakness = find_weakness(normalized, known_words)
    return [Fault(("password",), weakness)] if weakness else []
