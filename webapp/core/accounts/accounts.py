"""People and their way in: accounts, passwords, sessions, and the brake on guessing."""

import secrets
import threading
import uuid
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from email_validator import EmailNotValidError, validate_email
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, contains_eager

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import update_best_effort, write_transaction
from webapp.core.errors import CoreError, Fault, Invalid, NotFound, Refused
from webapp.core.hashing import hashed
from webapp.core.models import BrowserSession, LoginFailure, User, new_id
from webapp.core.validation import faults_of_name

SESSION_LIFE = timedelta(days=14)
"""A session ends this long after it began, whatever happens in it."""
MARK_SEEN_EVERY = timedelta(minutes=1)
NAME_LIMIT = 200
PASSWORD_LENGTH = (10, 1000)
"""Characters. The upper bound is there so that nobody makes the board hash a megabyte."""
FAILURE_WINDOW = timedelta(minutes=10)
FAILURES_PER_ACCOUNT_AND_ADDRESS = 10
FAILURES_PER_ADDRESS = 100

_hasher = PasswordHasher()
# A hash takes 64 MiB: two at once bound what a flood of sign-ins can take.
_hashing = threading.BoundedSemaphore(2)
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5bm9ib2R5bm9i$bYFl/BC9b4SnmXtZJhhSPBYDSIyuh0hmNqSMkJ9YQbM"
"""A hash that no password fits, so that an unknown account takes as long to refuse as a known one."""


class WrongPassword(CoreError):
    """The address and the password do not belong together; which of the two is wrong is not told."""

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


class TooManyAttempts(CoreError):
    """Too many failed attempts; ``retry_after`` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many attempts. Wait a few minutes and try again.")
        self.retry_after = retry_after


def _normalized(email: str) -> str:
    return email.strip().lower()


def _matches(password_hash: str, password: str) -> bool:
    with _hashing:
        try:
            return _hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def _hash(password: str) -> str:
    with _hashing:
        return _hasher.hash(password)


def _password_faults(password: str) -> list[Fault]:
    shortest, longest = PASSWORD_LENGTH
    if shortest <= len(password) <= longest:
        return []
    return [Fault(("password",), f"A password of {shortest} to {longest} characters.")]


def checked_address(email: str) -> str | None:
    """An e-mail address as accounts keep it; null for what is none."""
    try:
        return _normalized(validate_email(email, check_deliverability=False, test_environment=True).normalized)
    except EmailNotValidError:
        return None


def create(email: str, name: str, password: str, *, by: Actor) -> User:
    """A new account. Raises ``Invalid``, and ``Refused`` (``email_taken``)."""
    user = prepare(email, name, password)
    try:
        with write_transaction() as session:
            add(session, user, by=by)
    except IntegrityError:
        raise Refused("email_taken", f"There is already an account for {user.email}.") from None
    return user


def prepare(email: str, name: str, password: str) -> User:
    """An account that is not stored yet: the hash takes its time outside any transaction. Raises ``Invalid``."""
    faults = _password_faults(password)
    address = checked_address(email)
    if address is None:
        faults.append(Fault(("email",), "An e-mail address like ana@example.com."))
    faults += faults_of_name(name, NAME_LIMIT)
    if faults or address is None:
        raise Invalid(faults)
    at = clock.now()
    return User(id=new_id(at), email=address, name=name.strip(), password_hash=_hash(password), created_at=at)


def add(session: Session, user: User, *, by: Actor) -> None:
    """Store a prepared account, within a transaction. Raises ``IntegrityError`` if its address has one already."""
    session.add(user)
    session.flush()
    audit.record(session, "user.created", user.ref, by=by, workspace_id=None)


def has_account(email: str) -> bool:
    """Whether there is an account of that address, be it closed."""
    return db.session.scalar(sa.select(User.id).where(User.email == _normalized(email))) is not None


def by_email(email: str) -> User:
    """The account of an address. Raises ``NotFound``."""
    user = db.session.scalar(sa.select(User).where(User.email == _normalized(email)))
    if user is None:
        raise NotFound(f"There is no account for {email}.")
    return user


def everybody() -> Sequence[User]:
    """All accounts, by address."""
    return db.session.scalars(sa.select(User).order_by(User.email)).all()


def set_password(user: User, password: str, *, by: Actor) -> None:
    """Give an account a new password; whoever was signed in with the old one is signed out. Raises ``Invalid``."""
    if faults := _password_faults(password):
        raise Invalid(faults)
    password_hash = _hash(password)
    with write_transaction() as session:
        session.execute(sa.update(User).where(User.id == user.id).values(password_hash=password_hash))
        session.execute(sa.delete(BrowserSession).where(BrowserSession.user_id == user.id))
        audit.record(session, "user.password_set", user.ref, by=by, workspace_id=None)


def deactivate(user: User, *, by: Actor) -> None:
    """Close an account and sign it out everywhere. What it did stays under its name. Again changes nothing."""
    with write_transaction() as session:
        closed = session.execute(
            sa.update(User)
            .where(User.id == user.id, User.deactivated_at.is_(None))
            .values(deactivated_at=clock.now())
            .returning(User.id)
        ).first()
        session.execute(sa.delete(BrowserSession).where(BrowserSession.user_id == user.id))
        if closed:
            audit.record(session, "user.deactivated", user.ref, by=by, workspace_id=None)


# --- sign in and out ---------------------------------------------------------------------------------------------


def sign_in(email: str, password: str, *, address: str, user_agent: str | None = None) -> tuple[BrowserSession, str]:
    """A new session and the secret for its cookie.

    Raises ``WrongPassword``, and ``TooManyAttempts`` after 10 failures in 10 minutes of one account from one address,
    or 100 from one address. Successes never count.
    """
    email = _normalized(email)[:254].replace("\0", "\ufffd")
    address = address[: audit.ADDRESS_LIMIT]
    _brake(email, address)
    user = db.session.scalar(sa.select(User).where(User.email == email, User.deactivated_at.is_(None)))
    password_hash = user.password_hash if user else _NOBODY
    # Hashing takes its time, perhaps in a queue: neither a connection nor a snapshot is held meanwhile.
    db.session.commit()
    if not _matches(password_hash, password[: PASSWORD_LENGTH[1] + 1]) or user is None:
        _note_failure(email, address)
        raise WrongPassword
    now = clock.now()
    secret = secrets.token_urlsafe(32)
    signed_in = BrowserSession(
        id=new_id(now),
        secret_hash=hashed(secret),
        user_id=user.id,
        created_at=now,
        last_seen_at=now,
        expires_at=now + SESSION_LIFE,
        address=address,
        user_agent=user_agent[:300] if user_agent else None,
    )
    with write_transaction() as session:
        if not _still_opens(session, user, password_hash):
            raise WrongPassword
        session.add(signed_in)
        session.execute(sa.delete(BrowserSession).where(BrowserSession.expires_at <= now))
        audit.record(session, "user.signed_in", user.ref, by=Actor(user.ref, address), workspace_id=None)
    return signed_in, secret


def _still_opens(session: Session, user: User, password_hash: str) -> bool:
    """Whether the account was neither closed nor given a new password while we hashed.

    The row stays locked until the session is in: whoever closes the account now finds the session and deletes it.
    """
    unchanged = sa.select(User.id).where(
        User.id == user.id, User.password_hash == password_hash, User.deactivated_at.is_(None)
    )
    return session.scalar(unchanged.with_for_update()) is not None


def _note_failure(email: str, address: str) -> None:
    now = clock.now()
    with write_transaction() as session:
        session.add(LoginFailure(id=new_id(now), email=email, address=address, at=now))
        session.execute(sa.delete(LoginFailure).where(LoginFailure.at < now - FAILURE_WINDOW))


def _brake(email: str, address: str) -> None:
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


def session_of(secret: str) -> BrowserSession | None:
    """The living session behind a cookie's secret; null when it has ended, was revoked, or its account was closed."""
    return db.session.scalar(
        sa.select(BrowserSession)
        .join(BrowserSession.user)
        .options(contains_eager(BrowserSession.user))
        .where(
            BrowserSession.secret_hash == hashed(secret),
            BrowserSession.expires_at > clock.now(),
            User.deactivated_at.is_(None),
        )
    )


def mark_seen(signed_in: BrowserSession) -> None:
    """Remember that a person was here, at most once a minute."""
    now = clock.now()
    due = BrowserSession.last_seen_at <= now - MARK_SEEN_EVERY
    if signed_in.last_seen_at <= now - MARK_SEEN_EVERY:
        update_best_effort(
            sa.update(BrowserSession).where(BrowserSession.id == signed_in.id, due).values(last_seen_at=now)
        )


def sign_out(signed_in: BrowserSession) -> None:
    """End a session for good: a copy of its cookie is worth nothing from now on."""
    with write_transaction() as session:
        session.execute(sa.delete(BrowserSession).where(BrowserSession.id == signed_in.id))


def sessions_of(user: User) -> Sequence[BrowserSession]:
    """Where a person is signed in, whoever was here last first."""
    return db.session.scalars(
        sa.select(BrowserSession)
        .where(BrowserSession.user_id == user.id, BrowserSession.expires_at > clock.now())
        .order_by(BrowserSession.last_seen_at.desc(), BrowserSession.id.desc())
    ).all()


def end_session(user: User, session_id: uuid.UUID, *, by: Actor) -> None:
    """Sign a person out in one of their browsers. Raises ``NotFound`` when that session has ended, or is not theirs."""
    with write_transaction() as session:
        mine = BrowserSession.id == session_id, BrowserSession.user_id == user.id
        ended = session.execute(sa.delete(BrowserSession).where(*mine).returning(BrowserSession.address)).first()
        if ended is None:
            raise NotFound("This session has ended already.")
        detail = {"address": ended.address}
        audit.record(session, "user.session_ended", user.ref, by=by, workspace_id=None, detail=detail)


def end_every_session(user: User, *, by: Actor) -> None:
    """Sign a person out everywhere, here too."""
    with write_transaction() as session:
        session.execute(sa.delete(BrowserSession).where(BrowserSession.user_id == user.id))
        audit.record(session, "user.signed_out_everywhere", user.ref, by=by, workspace_id=None)


def change_password(signed_in: BrowserSession, present: str, password: str, *, by: Actor) -> None:
    """Give one's own account a new password; every session but this one ends.

    Raises ``Invalid``, also where ``present`` is not the present one, and ``TooManyAttempts``: a browser that was left
    open is no place to guess passwords either.
    """
    user, address = signed_in.user, (by.address or "unknown")[: audit.ADDRESS_LIMIT]
    if faults := _password_faults(password):
        raise Invalid(faults)
    _brake(user.email, address)
    former = user.password_hash
    db.session.commit()
    if not _matches(former, present[: PASSWORD_LENGTH[1] + 1]):
        _note_failure(user.email, address)
        raise _not_the_present_one()
    password_hash = _hash(password)
    mine = BrowserSession.user_id == user.id
    with write_transaction() as session:
        unchanged = User.id == user.id, User.password_hash == former
        change = sa.update(User).where(*unchanged).values(password_hash=password_hash).returning(User.id)
        if session.execute(change).first() is None:
            raise _not_the_present_one()
        session.execute(sa.delete(BrowserSession).where(mine, BrowserSession.id != signed_in.id))
        audit.record(session, "user.password_changed", user.ref, by=by, workspace_id=None)


def _not_the_present_one() -> Invalid:
    return Invalid([Fault(("present",), "That is not your present password.")])


def remember_workspace(user: User, workspace_id: uuid.UUID) -> None:
    """Remember where a person works, so that ``/`` leads there."""
    if user.last_workspace_id != workspace_id:
        update_best_effort(sa.update(User).where(User.id == user.id).values(last_workspace_id=workspace_id))
