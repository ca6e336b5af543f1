"""Hashes passwords, two at a time, and throttles those who guess them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webapp.core import clock
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Invalid, TooManyRequests
from webapp.core.models import LoginFailure, new_id

MIN_LENGTH = 10
MAX_LENGTH = 1000
"""Characters. The upper bound is there so that nobody makes the board hash a megabyte."""
FAILURE_WINDOW = timedelta(minutes=10)
FAILURES_PER_ACCOUNT_AND_ADDRESS = 10
FAILURES_PER_ADDRESS = 100

HASHES_AT_ONCE = 2
"""A hash takes 64 MiB and all processors for a while: this bounds what a flood of sign-ins can take."""
HASHES_WAITING = 2
"""Whoever comes while so many wait is refused at once: each one who waits holds a thread of the server."""

_hasher = PasswordHasher()
_hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
_places = threading.BoundedSemaphore(HASHES_AT_ONCE + HASHES_WAITING)


class TooManyAttempts(TooManyRequests):
    """Too many attempts failed, or too many people sign in at this moment."""


@contextmanager
def _hashing_turn() -> Iterator[None]:
    """Wait for a turn to hash, and hold it to the end of the block. Raises ``TooManyAttempts`` if too many wait."""
    if not _places.acquire(blocking=False):
        raise TooManyAttempts("Many people are signing in right now. Try again in a few seconds.", 2)
    try:
        with _hashing:
            yield
    finally:
        _places.release()


def hash_password(password: str) -> str:
    """Return the Argon2 hash of a password, with its salt and parameters. Raises ``TooManyAttempts``."""
    with _hashing_turn():
        return _hasher.hash(password)


_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5bm9ib2R5bm9i$bYFl/BC9b4SnmXtZJhhSPBYDSIyuh0hmNqSMkJ9YQbM"
"""A hash that no password fits, so that an unknown account takes as long to refuse as a known one."""


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether a password fits a hash. ``None`` is the hash of no account: nothing fits, in the same time.

    Raises ``TooManyAttempts``.
    """
    with _hashing_turn():
        try:
            # What is over the limit fits nothing, and need not be hashed whole.
            return _hasher.verify(password_hash or _NOBODY, password[: MAX_LENGTH + 1]) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


def require_sound_password(password: str) -> None:
    """Refuse a password of the wrong length. Raises ``Invalid``."""
    if faults := find_password_faults(password):
        raise Invalid(faults)


def find_password_faults(password: str) -> list[Fault]:
    """Return what is wrong with a new password."""
    if MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return []
    return [Fault(("password",), f"A password of {MIN_LENGTH} to {MAX_LENGTH} characters.")]


def throttle(email: str, address: str) -> None:
    """Hold back whoever guesses. Raises ``TooManyAttempts``.

    That is after 10 failures in 10 minutes of one account from one address, or 100 from one address. Successes never
    count.
    """
    recent = sa.and_(LoginFailure.address == address, LoginFailure.at > clock.now() - FAILURE_WINDOW)
    for condition, limit in (
        (recent & (LoginFailure.email == email), FAILURES_PER_ACCOUNT_AND_ADDRESS),
        (recent, FAILURES_PER_ADDRESS),
    ):
        # The failure that must grow old before there is room for another attempt.
        oldest = db.session.scalar(
            sa.select(LoginFailure.at).where(condition).order_by(LoginFailure.at.desc()).offset(limit - 1).limit(1)
        )
        if oldest is not None:
            wait = (oldest + FAILURE_WINDOW - clock.now()).total_seconds()
            message = "Too many attempts. Wait a few minutes and try again."
            raise TooManyAttempts(message, max(1, round(wait + 0.5)))


def record_failure(email: str, address: str) -> None:
    """Remember a failed attempt, and forget those that are too old to count."""
    now = clock.now()
    with write_transaction() as session:
        session.add(LoginFailure(id=new_id(now), email=email, address=address, at=now))
        session.execute(sa.delete(LoginFailure).where(LoginFailure.at < now - FAILURE_WINDOW))
