"""Signs people in and out: one row for each signed-in browser, without which its cookie is worth nothing."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, contains_eager

from webapp.core import audit, clock
from webapp.core.accounts import attempts, passwords
from webapp.core.accounts.accounts import check_password, normalize_email
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import update_best_effort, write_transaction
from webapp.core.errors import CoreError, NotFound
from webapp.core.hashing import hash_secret
from webapp.core.limits import limits
from webapp.core.models import BrowserSession, User, new_id

LIFETIME = timedelta(days=14)
"""A session ends this long after it began, whatever happens in it."""
IDLE_TIMEOUT = timedelta(hours=72)
"""A session ends before that, this long after a page was last opened in it, unless another time is set."""
CONFIRMED_FOR = timedelta(minutes=15)
"""For how long after somebody typed their password it is not asked for again."""
TOUCH_EVERY = timedelta(minutes=1)
"""How often it is written down that a person was here."""


class WrongPassword(CoreError):
    """The address and the password do not belong together; which of the two is wrong is not said."""

    def __init__(self) -> None:
        super().__init__("The email address or the password is wrong.")


class SignedIn(NamedTuple):
    """A new session, the secret for its cookie, and whether its browser was new to an account that knows others."""

    browser_session: BrowserSession
    secret: str
    is_new_browser: bool


def sign_in(
    email: str,
    password: str,
    *,
    address: str | None,
    user_agent: str | None = None,
    browsers: Mapping[uuid.UUID, str] = MappingProxyType({}),
) -> SignedIn:
    """Create a session.

    ``browsers`` has the accounts that somebody has signed in to with this browser before, and what it is known by to
    each. Raises ``WrongPassword``, and ``TooManyAttempts`` as ``attempts.claim`` does.
    """
    email = normalize_email(email)[:254].replace("\0", "\ufffd")
    visitor = attempts.make_visitor(address, user_agent)
    with passwords.reserve_place():
        user = db.session.scalar(sa.select(User).where(User.email == email, User.deactivated_at.is_(None)))
        password_hash = user.password_hash if user else None
        browser = browsers.get(user.id) if user else None
        # Hashing takes its time: neither a connection nor a snapshot is held meanwhile.
        attempt = attempts.claim(email, user, visitor, browser=browser)
        if not passwords.verify_password(password_hash, password) or user is None:
            attempts.record_failure(attempt)
            raise WrongPassword
        new_hash = passwords.hash_password(password) if passwords.needs_rehash(user.password_hash) else None
    is_new_browser = browser is None and attempts.has_signed_in(user)
    now = clock.now()
    secret = secrets.token_urlsafe(32)
    browser_session = BrowserSession(
        id=new_id(now),
        secret_hash=hash_secret(secret),
        user_id=user.id,
        created_at=now,
        last_seen_at=now,
        confirmed_at=now,
        expires_at=now + LIFETIME,
        address=visitor.address,
        user_agent=visitor.user_agent,
    )
    with write_transaction() as session:
        if not _lock_unchanged(session, user, password_hash):
            raise WrongPassword
        _end_oldest(session, user)
        if new_hash:
            session.execute(sa.update(User).where(User.id == user.id).values(password_hash=new_hash))
        session.add(browser_session)
        session.execute(sa.delete(BrowserSession).where(BrowserSession.expires_at <= now))
        attempts.record_success(session, attempt, user)
        audit.record(session, "user.signed_in", user.ref, by=Actor(user.ref, visitor.address), workspace_id=None)
    return SignedIn(browser_session, secret, is_new_browser)


def _lock_unchanged(session: Session, user: User, password_hash: str | None) -> bool:
    """Return whether the account was neither closed nor given a new password while we hashed, and lock it.

    The row stays locked until the session is in: whoever closes the account now meets the session and deletes it.
    """
    unchanged = sa.select(User.id).where(
        User.id == user.id, User.password_hash == password_hash, User.deactivated_at.is_(None)
    )
    return session.scalar(unchanged.with_for_update()) is not None


def _end_oldest(session: Session, user: User) -> None:
    """End where a person was longest ago, if they are signed in with as many browsers as they may be."""
    most = limits.get_limit(session, limits.of_user(user.id), limits.SESSIONS)
    newest = sa.select(BrowserSession.id).where(BrowserSession.user_id == user.id)
    newest = newest.order_by(BrowserSession.last_seen_at.desc(), BrowserSession.id.desc()).limit(max(most - 1, 0))
    others = BrowserSession.user_id == user.id, BrowserSession.id.not_in(newest)
    session.execute(sa.delete(BrowserSession).where(*others).execution_options(synchronize_session=False))


def find_session(secret: str, *, idle_timeout: timedelta = IDLE_TIMEOUT) -> BrowserSession | None:
    """Return the session behind a cookie's secret; ``None`` when it ended, was revoked, or its account was closed."""
    return db.session.scalar(
        sa.select(BrowserSession)
        .join(BrowserSession.user)
        .options(contains_eager(BrowserSession.user))
        .where(
            BrowserSession.secret_hash == hash_secret(secret),
            *_is_alive(idle_timeout),
            User.deactivated_at.is_(None),
        )
    )


def _is_alive(idle_timeout: timedelta) -> tuple[sa.ColumnElement[bool], ...]:
    now = clock.now()
    return BrowserSession.expires_at > now, BrowserSession.last_seen_at > now - idle_timeout


def touch(browser_session: BrowserSession) -> None:
    """Remember that a person was here, at most once a minute."""
    now = clock.now()
    if browser_session.last_seen_at <= now - TOUCH_EVERY:
        is_due = BrowserSession.id == browser_session.id, BrowserSession.last_seen_at <= now - TOUCH_EVERY
        update_best_effort(sa.update(BrowserSession).where(*is_due).values(last_seen_at=now))


def is_confirmed(browser_session: BrowserSession) -> bool:
    """Return whether the password was typed in a session so lately that it need not be asked for again."""
    at = browser_session.confirmed_at
    return at is not None and at > clock.now() - CONFIRMED_FOR


def confirm(browser_session: BrowserSession, password: str, *, by: Actor) -> None:
    """Take down that the person of a session typed their password. Raises ``Invalid`` and ``TooManyAttempts``."""
    check_password(browser_session, password, by=by)
    with write_transaction() as session:
        is_this = BrowserSession.id == browser_session.id
        session.execute(sa.update(BrowserSession).where(is_this).values(confirmed_at=clock.now()))


def list_sessions(user: User, *, idle_timeout: timedelta = IDLE_TIMEOUT) -> Sequence[BrowserSession]:
    """Return where a person is signed in, whoever was here last first."""
    return db.session.scalars(
        sa.select(BrowserSession)
        .where(BrowserSession.user_id == user.id, *_is_alive(idle_timeout))
        .order_by(BrowserSession.last_seen_at.desc(), BrowserSession.id.desc())
    ).all()


def sign_out(browser_session: BrowserSession) -> None:
    """End a session for good: a copy of its cookie is worth nothing from now on."""
    with write_transaction() as session:
        session.execute(sa.delete(BrowserSession).where(BrowserSession.id == browser_session.id))


def end_session(user: User, session_id: uuid.UUID, *, by: Actor) -> None:
    """Sign a person out in one of their browsers. Raises ``NotFound`` when that session has ended, or is not theirs."""
    with write_transaction() as session:
        is_theirs = BrowserSession.id == session_id, BrowserSession.user_id == user.id
        ended = session.execute(sa.delete(BrowserSession).where(*is_theirs).returning(BrowserSession.address)).first()
        if ended is None:
            raise NotFound("This session has ended already.")
        detail = {"address": ended.address}
        audit.record(session, "user.session_ended", user.ref, by=by, workspace_id=None, detail=detail)


def end_all_sessions(user: User, *, by: Actor) -> None:
    """Sign a person out everywhere, here too."""
    with write_transaction() as session:
        # A sign-in that is under way holds this lock until its session is in, which is then ended with the others.
        session.execute(sa.select(User.id).where(User.id == user.id).with_for_update())
        session.execute(sa.delete(BrowserSession).where(BrowserSession.user_id == user.id))
        audit.record(session, "user.signed_out_everywhere", user.ref, by=by, workspace_id=None)
