"""Lets people set a new password by a link that goes to their address: once, within an hour."""

import secrets
from datetime import timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.accounts import accounts, passwords
from webapp.core.accounts.attempts import Visitor, lock_counting
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import NotFound
from webapp.core.hashing import hash_secret
from webapp.core.models import PasswordReset, User, new_id

LIFETIME = timedelta(hours=1)
PER_ACCOUNT = 3
"""Mails to one address within ``WINDOW``."""
PER_NETWORK = 20
"""Requests from one network within ``WINDOW``, whatever the addresses."""
WINDOW = timedelta(hours=1)
KEEP_FOR = timedelta(days=1)


class NoReset(NotFound):
    """The link leads to nothing: it is unknown, used, replaced or too old; which of these is not said."""

    def __init__(self) -> None:
        super().__init__("This link is no longer valid.")


class NewReset(NamedTuple):
    """A link that is to be sent: to whom, and its secret."""

    user: User
    secret: str


def request_reset(email: str, visitor: Visitor) -> NewReset | None:
    """Create a link for the account of an address; ``None`` where there is none, or it got its mails for this hour.

    Both take the same steps and time: nobody learns by it who has an account. Raises ``TooManyAttempts``.
    """
    email = accounts.normalize_email(email)[: accounts.EMAIL_LIMIT].replace("\0", "\ufffd")
    user = db.session.scalar(sa.select(User).where(User.email == email, User.deactivated_at.is_(None)))
    now, secret = clock.now(), secrets.token_urlsafe(32)
    reset = PasswordReset(
        id=new_id(now),
        email=email,
        user_id=user.id if user else None,
        secret_hash=hash_secret(secret),
        network=visitor.network,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    with write_transaction() as session:
        lock_counting(session)
        session.execute(sa.delete(PasswordReset).where(PasswordReset.created_at < now - KEEP_FOR))
        if _count(session, PasswordReset.network == visitor.network) >= PER_NETWORK:
            raise TooManyAttempts("Too many requests. Try again in an hour.", int(WINDOW.total_seconds()))
        has_room = _count(session, PasswordReset.email == email) < PER_ACCOUNT
        session.add(reset)
    return NewReset(user, secret) if user and has_room else None


def _count(session: Session, condition: sa.ColumnElement[bool]) -> int:
    recent = PasswordReset.created_at > clock.now() - WINDOW
    return session.scalar(sa.select(sa.func.count()).select_from(PasswordReset).where(condition, recent)) or 0


def get_user(secret: str) -> User:
    """Return the account whose password a link may set. Raises ``NoReset``."""
    user = db.session.scalar(sa.select(User).join(PasswordReset, PasswordReset.user_id == User.id).where(*_is(secret)))
    if user is None:
        raise NoReset
    return user


def reset_password(secret: str, password: str, *, address: str | None) -> User:
    """Set the password of the account that a link is for, and sign it out everywhere. The link is used up.

    It went to the address alone, so the address is the person's from now on.
    Raises ``NoReset``, ``Invalid`` and ``TooManyAttempts``.
    """
    user = get_user(secret)
    by = Actor(user.ref, address)
    passwords.require_sound_password(password, user.email, user.name)
    password_hash = passwords.hash_password(password)
    with write_transaction() as session:
        # The link is used up by one statement: of two who press at once, one finds it used.
        is_open = PasswordReset.secret_hash == hash_secret(secret), PasswordReset.used_at.is_(None)
        use = sa.update(PasswordReset).where(*is_open).values(used_at=clock.now()).returning(PasswordReset.id)
        if session.execute(use).first() is None:
            raise NoReset
        accounts.store_password(session, user, password_hash)
        accounts.mark_verified(session, user, by=by)
        audit.record(session, "user.password_reset", user.ref, by=by, workspace_id=None)
    return user


def _is(secret: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        PasswordReset.secret_hash == hash_secret(secret),
        PasswordReset.used_at.is_(None),
        PasswordReset.expires_at > clock.now(),
        User.deactivated_at.is_(None),
    )
