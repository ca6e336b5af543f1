"""Keeps people's accounts: created, given another password, closed."""

import secrets
import unicodedata
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from email_validator import EmailNotValidError, validate_email
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.accounts import attempts, passwords
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import update_best_effort, write_transaction
from webapp.core.errors import Conflict, Fault, Invalid, NotFound
from webapp.core.hashing import hash_secret
from webapp.core.models import BrowserSession, PasswordReset, User, new_id
from webapp.core.validation import find_name_faults

NAME_LIMIT = 200
EMAIL_LIMIT = 254
EMAIL_INPUT_LIMIT = 1000
"""Characters that are looked at for an address; its normal form may be a quarter of what was written."""


def normalize_email(email: str) -> str:
    """Return an e-mail address in the one form in which accounts and invitations keep it, however it was written.

    What is no address is trimmed and in small letters: nobody has it.
    """
    return parse_email(email) or email.strip().lower()


def parse_email(email: str) -> str | None:
    """Return an e-mail address in the form of ``normalize_email``; ``None`` for what is none.

    Its domain is in letters, though browsers send ``xn--…`` for those beyond ASCII; composed (NFC), in small letters.
    """
    if len(email) > EMAIL_INPUT_LIMIT:
        return None
    try:
        valid = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return unicodedata.normalize("NFC", valid.normalized.lower())


# --- read --------------------------------------------------------------------------------------------------------


def has_account(email: str) -> bool:
    """Return whether there is an account of that address, be it closed."""
    return db.session.scalar(sa.select(User.id).where(User.email == normalize_email(email))) is not None


def get_by_email(email: str) -> User:
    """Return the account of an address. Raises ``NotFound``."""
    user = db.session.scalar(sa.select(User).where(User.email == normalize_email(email)))
    if user is None:
        raise NotFound(f"There is no account for {email}.")
    return user


def require_verified(user: User) -> None:
    """Refuse an account whose address nobody has shown to be theirs. Raises ``Conflict`` (``unverified``)."""
    if user.email_verified_at is None:
        raise Conflict(
            "unverified",
            f"The address {user.email} is not verified: somebody else may have made this account. "
            "If you know that it is theirs, run `flask --app wsgi users verify` or add --unverified.",
        )


def list_all() -> Sequence[User]:
    """Return all accounts, by address."""
    return db.session.scalars(sa.select(User).order_by(User.email)).all()


# --- create ------------------------------------------------------------------------------------------------------


def prepare(email: str, name: str, password: str) -> User:
    """Make an account that is not stored yet: the hash takes its time outside any transaction. Raises ``Invalid``."""
    address = parse_email(email)
    faults = passwords.find_password_faults(password, email, name)
    if address is None:
        faults.append(Fault(("email",), "An email address like ana@example.com."))
    faults += find_name_faults(name, NAME_LIMIT)
    if faults or address is None:
        raise Invalid(faults)
    at = clock.now()
    password_hash = passwords.hash_password(password)
    return User(id=new_id(at), email=address, name=name.strip(), password_hash=password_hash, created_at=at)


def add(session: Session, user: User, *, by: Actor) -> None:
    """Store a prepared account, within a transaction. Raises ``IntegrityError`` if its address has one already."""
    session.add(user)
    session.flush()
    audit.record(session, "user.created", user.ref, by=by, workspace_id=None)


def create(email: str, name: str, password: str, *, by: Actor) -> User:
    """Create an account for the administrator, whose word is that the address is the person's.

    Raises ``Invalid``, and ``Conflict`` (``email_taken``).
    """
    user = prepare(email, name, password)
    try:
        with write_transaction() as session:
            # Now, because the first connection of a command is what sets its clock.
            user.created_at = user.email_verified_at = clock.now()
            add(session, user, by=by)
    except IntegrityError:
        raise Conflict("email_taken", f"There is already an account for {user.email}.") from None
    return user


# --- change ------------------------------------------------------------------------------------------------------


def set_password(user: User, password: str, *, by: Actor) -> None:
    """Give an account a new password; whoever was signed in with the old one is signed out. Raises ``Invalid``."""
    passwords.require_sound_password(password, user.email, user.name)
    password_hash = passwords.hash_password(password)
    with write_transaction() as session:
        store_password(session, user, password_hash)
        audit.record(session, "user.password_set", user.ref, by=by, workspace_id=None)


def store_password(session: Session, user: User, password_hash: str) -> None:
    """Give an account a new password within a transaction, end its sessions, and close links to set another."""
    session.execute(sa.update(User).where(User.id == user.id).values(password_hash=password_hash))
    session.execute(sa.delete(BrowserSession).where(BrowserSession.user_id == user.id))
    _close_resets(session, user)


def _close_resets(session: Session, user: User) -> None:
    is_open = PasswordReset.user_id == user.id, PasswordReset.used_at.is_(None)
    session.execute(sa.update(PasswordReset).where(*is_open).values(used_at=clock.now()))


def change_password(browser_session: BrowserSession, current: str, password: str, *, by: Actor) -> str:
    """Give one's own account a new password; every session but this one ends. Returns this one's new secret.

    Its cookie may have been copied as well, and a copy is worth nothing from now on. Raises ``Invalid``, also where
    ``current`` is not the current one, and ``TooManyAttempts``: a browser that was left open is no place to guess
    passwords either.
    """
    user, current_hash = browser_session.user, browser_session.user.password_hash
    passwords.require_sound_password(password, user.email, user.name)
    with passwords.reserve_place():
        check_password(browser_session, current, by=by)
        password_hash = passwords.hash_password(password)
    secret = secrets.token_urlsafe(32)
    with write_transaction() as session:
        unchanged = User.id == user.id, User.password_hash == current_hash
        change = sa.update(User).where(*unchanged).values(password_hash=password_hash).returning(User.id)
        if session.execute(change).first() is None:
            raise _wrong_current_password()
        _renew_only_session(session, browser_session, secret)
        _close_resets(session, user)
        audit.record(session, "user.password_changed", user.ref, by=by, workspace_id=None)
    return secret


def _renew_only_session(session: Session, browser_session: BrowserSession, secret: str) -> None:
    """Give a session another secret and end the other sessions of its person."""
    is_this = BrowserSession.id == browser_session.id
    is_other = BrowserSession.user_id == browser_session.user_id, sa.not_(is_this)
    session.execute(sa.update(BrowserSession).where(is_this).values(secret_hash=hash_secret(secret)))
    session.execute(sa.delete(BrowserSession).where(*is_other).execution_options(synchronize_session=False))


def _wrong_current_password() -> Invalid:
    return Invalid([Fault(("present",), "That is not your present password.")])


def check_password(browser_session: BrowserSession, password: str, *, by: Actor) -> None:
    """Refuse a password that is not that of the person signed in here. Raises ``Invalid`` and ``TooManyAttempts``."""
    user, visitor = browser_session.user, attempts.make_visitor(by.address, browser_session.user_agent)
    with passwords.reserve_place():
        # Counted for this session alone: strangers who guess elsewhere do not close it, nor does it help them.
        attempt = attempts.claim(user.email, user, visitor, browser=str(browser_session.id))
        if not passwords.verify_password(user.password_hash, password):
            attempts.record_failure(attempt)
            raise _wrong_current_password()
    with write_transaction() as session:
        attempts.withdraw(session, attempt)


def mark_verified(session: Session, user: User, *, by: Actor) -> None:
    """Remember that the address of an account is the person's, within a transaction. Again changes nothing."""
    unverified = User.id == user.id, User.email_verified_at.is_(None)
    statement = sa.update(User).where(*unverified).values(email_verified_at=clock.now()).returning(User.id)
    if session.execute(statement.execution_options(synchronize_session=False)).first():
        audit.record(session, "user.email_verified", user.ref, by=by, workspace_id=None)


def verify(user: User, *, by: Actor) -> None:
    """Remember that the address of an account is the person's. Again changes nothing."""
    with write_transaction() as session:
        mark_verified(session, user, by=by)


def close(session: Session, user: User, *, by: Actor) -> None:
    """Deactivate an account and sign it out everywhere, within a transaction. Again changes nothing.

    What the person did stays under their name; ``workspaces.offboarding`` ends what counts by their right.
    """
    closed = session.execute(
        sa.update(User)
        .where(User.id == user.id, User.deactivated_at.is_(None))
        .values(deactivated_at=clock.now())
        .returning(User.id)
    ).first()
    session.execute(sa.delete(BrowserSession).where(BrowserSession.user_id == user.id))
    if closed:
        audit.record(session, "user.deactivated", user.ref, by=by, workspace_id=None)


def remember_workspace(user: User, workspace_id: uuid.UUID) -> None:
    """Remember where a person works, so that ``/`` leads there."""
    if user.last_workspace_id != workspace_id:
        update_best_effort(sa.update(User).where(User.id == user.id).values(last_workspace_id=workspace_id))
