"""Hashes passwords, two at a time, and says which may be one."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

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


def hash_password(password: str) -> str:
    """Return the Argon2 hash of a password, with its salt and parameters. Raises ``TooManyAttempts``."""
    return _do_in_turn(_hasher.hash, password)


_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5bm9ib2R5bm9i$bYFl/BC9b4SnmXtZJhhSPBYDSIyuh0hmNqSMkJ9YQbM"
"""A hash that no password fits, so that an unknown account takes as long to refuse as a known one."""


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether a password fits a hash. ``None`` is the hash of no account: nothing fits, in the same time.

    Raises ``TooManyAttempts``.
    """
    try:
        # What is over the limit fits nothing, and need not be hashed whole.
        fits = _do_in_turn(_hasher.verify, password_hash or _NOBODY, password[: MAX_LENGTH + 1])
    except (VerificationError, InvalidHashError):
        return False
    return fits and password_hash is not None


def require_sound_password(password: str) -> None:
    """Refuse a password of the wrong length. Raises ``Invalid``."""
    if faults := find_password_faults(password):
        raise Invalid(faults)


def find_password_faults(password: str) -> list[Fault]:
    """Return what is wrong with a new password."""
    if MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return []
    return [Fault(("password",), f"A password of {MIN_LENGTH} to {MAX_LENGTH} characters.")]
