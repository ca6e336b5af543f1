"""Hashes passwords, two at a time, and throttles those who guess them."""

import threading
from datetime import timedelta

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webapp.core import clock
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import CoreError, Fault, Invalid
from webapp.core.models import LoginFailure, new_id

MIN_LENGTH = 10
MAX_LENGTH = 1000
"""Characters. The upper bound is there so that nobody makes the board hash a megabyte."""
FAILURE_WINDOW = timedelta(minutes=10)
FAILURES_PER_ACCOUNT_AND_ADDRESS = 10
FAILURES_PER_ADDRESS = 100

_hasher = PasswordHasher()
# A hash takes 64 MiB: two at once bound what a flood of sign-ins can take.
_hashing = threading.BoundedSemaphore(2)


class TooManyAttempts(CoreError):
    """Too many failed attempts; ``retry_after`` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many attempts. Wait a few minutes and try again.")
        self.retry_after = retry_after


def hash_password(password: str) -> str:
    """Return the Argon2 hash of a password, with its salt and parameters."""
    with _hashing:
        return _hasher.hash(password)


_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5bm9ib2R5bm9i$bYFl/BC9b4SnmXtZJhhSPBYDSIyuh0hmNqSMkJ9YQbM"
"""A hash that no password fits, so that an unknown account takes as long to refuse as a known one."""


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether a password fits a hash. ``None`` is the hash of no account: nothing fits, in the same time."""
    with _hashing:
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
            raise TooManyAttempts(max(1, round(wait + 0.5)))


def record_failure(email: str, address: str) -> None:
    """Remember a failed attempt, and forget those that are too old to count."""
    now = clock.now()
    with write_transaction() as session:
        session.add(LoginFailure(id=new_id(now), email=email, address=address, at=now))
        session.execute(sa.delete(LoginFailure).where(LoginFailure.at < now - FAILURE_WINDOW))
