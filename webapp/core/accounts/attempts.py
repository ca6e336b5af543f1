"""Counts attempts to sign in, each claimed before its password is checked, and refuses those that are too many.

An attempt is a row from before the password is checked until that was right: of many at once no more are checked than
of as many one after another. Who is a stranger to an account is counted by network and by account. A browser in which
somebody has signed in to the account before is counted by itself, so that strangers cannot lock its owner out (OWASP
calls such a mark a device cookie).
"""

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address, ip_network
from threading import BoundedSemaphore

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.accounts.passwords import TooManyAttempts
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.models import LoginFailure, SignIn, SignInOutcome, User, first_id, new_id

ADDRESS_LIMIT = 64
USER_AGENT_LIMIT = 300

WINDOW = timedelta(minutes=10)
PER_ACCOUNT_AND_NETWORK = 10
PER_BROWSER = 10
PER_NETWORK = 100
ACCOUNT_WINDOW = timedelta(hours=1)
PER_ACCOUNT = 50
"""Failures of one account within an hour, from all networks together, that close it to strangers."""
DELAY_AFTER = 10
"""Failures of one account from which on a stranger's attempt is delayed: by a second, and twice that every ten more."""
LONGEST_DELAY = 4
"""Seconds."""
DELAYS_AT_ONCE = 2
"""Attempts that a process delays at the same time: each of them holds a thread."""
KEEP_FOR = timedelta(days=90)
"""For how long people may look through the attempts to sign in to their account."""
BLOCKED_EVERY = timedelta(minutes=1)
"""How often it is written down that attempts are refused."""
_LOCK = 0x5169_6E69_6E
"""The key of the advisory lock under which PostgreSQL counts and claims; there are few sign-ins, so one is enough."""

log = logging.getLogger(__name__)
_delays = BoundedSemaphore(DELAYS_AT_ONCE)


@dataclass(frozen=True)
class Visitor:
    """Where an attempt comes from: a network address and what the browser calls itself, as much as is kept of both."""

    address: str
    user_agent: str | None

    @property
    def network(self) -> str:
        """Return what the address counts as."""
        return find_network(self.address)


def make_visitor(address: str | None, user_agent: str | None = None) -> Visitor:
    """Return the visitor of a request."""
    agent = user_agent[:USER_AGENT_LIMIT] if user_agent else None
    return Visitor((address or "unknown")[:ADDRESS_LIMIT], agent)


def find_network(address: str) -> str:
    """Return the network that an address counts as: an IPv4 address is one, of IPv6 a customer has a whole /64."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip_network((ip, 64), strict=False))


@dataclass(frozen=True)
class Attempt:
    """An attempt that has been claimed: its password may be checked. ``user_id`` is ``None`` where no account is."""

    id: uuid.UUID
    user_id: uuid.UUID | None
    visitor: Visitor


# --- limits ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """How many attempts may fail within a time. ``event`` is what the log calls it when there were more."""

    condition: sa.ColumnElement[bool]
    failures: int
    window: timedelta
    event: str = "sign_in.blocked"

    def find_wait(self, now: datetime) -> float | None:
        """Return for how many seconds no further attempt is let through, ``None`` if one is let through now."""
        # The failure that must grow old before there is room for another attempt.
        oldest = db.session.scalar(
            sa.select(LoginFailure.at)
            .where(self.condition, LoginFailure.at > now - self.window)
            .order_by(LoginFailure.at.desc())
            .offset(self.failures - 1)
            .limit(1)
        )
        return None if oldest is None else (oldest + self.window - now).total_seconds()


def _list_limits(email: str, user: User | None, network: str, browser: str | None) -> Sequence[Limit]:
    of_account = LoginFailure.email == email
    if browser is not None:
        return (Limit(of_account & (LoginFailure.browser == browser), PER_BROWSER, WINDOW),)
    by_strangers = LoginFailure.browser.is_(None)
    of_network = by_strangers & (LoginFailure.network == network)
    limits = [
        Limit(of_account & of_network, PER_ACCOUNT_AND_NETWORK, WINDOW),
        Limit(of_account & by_strangers, PER_ACCOUNT, ACCOUNT_WINDOW, event="account.blocked"),
    ]
    # Whoever has signed in from here before is not locked out by others who share the address.
    return limits if _has_signed_in_from(network, user) else [*limits, Limit(of_network, PER_NETWORK, WINDOW)]


def _has_signed_in_from(network: str, user: User | None) -> bool:
    # Asked for no account as well, so that it takes as long.
    user_id = user.id if user else uuid.UUID(int=0)
    from_here = SignIn.user_id == user_id, SignIn.network == network, SignIn.outcome == SignInOutcome.SIGNED_IN
    recent = SignIn.id >= first_id(clock.now() - KEEP_FOR)
    return db.session.scalar(sa.select(SignIn.id).where(*from_here, recent).limit(1)) is not None


class _LimitReached(Exception):
    """An attempt is over a limit, and for so many seconds it will be."""

    def __init__(self, limit: Limit, wait: float) -> None:
        super().__init__()
        self.limit = limit
        self.wait = wait


def _require_room(limits: Sequence[Limit]) -> None:
    now = clock.now()
    for limit in limits:
        if (wait := limit.find_wait(now)) is not None:
            raise _LimitReached(limit, wait)


# --- before a password is checked --------------------------------------------------------------------------------


def claim(email: str, user: User | None, visitor: Visitor, *, browser: str | None) -> Attempt:
    """Write down an attempt before its password is checked, as if it had failed, and end the read transaction.

    ``browser`` is what it is counted by where the visitor is no stranger to the account. Raises ``TooManyAttempts``.
    """
    limits = _list_limits(email, user, visitor.network, browser)
    attempt_id = new_id(clock.now())
    try:
        # A first look takes no right to write: whoever is refused again and again costs the database little.
        _require_room(limits)
        if browser is None:
            _delay(email)
        with write_transaction() as session:
            _insert_claim(session, attempt_id, limits, email, visitor, browser)
    except _LimitReached as reached:
        _record_blocked(user, visitor, reached.limit.event)
        message = "Too many attempts. Wait a few minutes and try again."
        raise TooManyAttempts(message, max(1, round(reached.wait + 0.5))) from None
    return Attempt(attempt_id, user.id if user else None, visitor)


def _insert_claim(
    session: Session,
    attempt_id: uuid.UUID,
    limits: Sequence[Limit],
    email: str,
    visitor: Visitor,
    browser: str | None,
) -> None:
    lock_counting(session)
    _require_room(limits)
    now = clock.now()
    session.execute(sa.delete(LoginFailure).where(LoginFailure.at < now - ACCOUNT_WINDOW))
    session.add(
        LoginFailure(
            id=attempt_id, email=email, address=visitor.address, network=visitor.network, browser=browser, at=now
        )
    )


def lock_counting(session: Session) -> None:
    """Let nobody else count until this transaction ends, so that what it counts is still so when it adds to it."""
    # SQLite has one writer anyway.
    if db.engine.dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _delay(email: str) -> None:
    """Make a stranger wait whose account many have failed to guess. Raises ``TooManyAttempts`` while others wait."""
    of_strangers = LoginFailure.email == email, LoginFailure.browser.is_(None)
    recent = LoginFailure.at > clock.now() - ACCOUNT_WINDOW
    failures = db.session.scalar(sa.select(sa.func.count()).select_from(LoginFailure).where(*of_strangers, recent)) or 0
    if failures < DELAY_AFTER:
        return
    seconds = min(LONGEST_DELAY, 2 ** (failures // DELAY_AFTER - 1))
    if not _delays.acquire(blocking=False):
        raise TooManyAttempts("Too many attempts. Try again in a few seconds.", seconds)
    try:
        db.session.commit()  # No connection is held meanwhile.
        time.sleep(seconds)
    finally:
        _delays.release()


# --- after it ----------------------------------------------------------------------------------------------------


def withdraw(session: Session, attempt: Attempt) -> None:
    """Forget a claim, within a transaction: the attempt was right, or its password was not checked."""
    session.execute(sa.delete(LoginFailure).where(LoginFailure.id == attempt.id))


def record_success(session: Session, attempt: Attempt, user: User) -> None:
    """Write down that somebody signed in, within the transaction that lets them in."""
    withdraw(session, attempt)
    session.add(_row(user.id, attempt.visitor, SignInOutcome.SIGNED_IN))
    session.execute(sa.delete(SignIn).where(SignIn.id < first_id(clock.now() - KEEP_FOR)))


def record_failure(attempt: Attempt) -> None:
    """Log an attempt that was wrong, and write it down for the owner of the account."""
    _log_attempt("sign_in.failed", "Sign-in failed", attempt.user_id, attempt.visitor)
    if attempt.user_id is not None:
        with write_transaction() as session:
            session.add(_row(attempt.user_id, attempt.visitor, SignInOutcome.FAILED))


def _record_blocked(user: User | None, visitor: Visitor, event: str) -> None:
    _log_attempt(event, "Sign-in blocked, after too many attempts", user.id if user else None, visitor)
    if user is None:
        return
    blocked = SignIn.user_id == user.id, SignIn.network == visitor.network, SignIn.outcome == SignInOutcome.BLOCKED
    recent = SignIn.id >= first_id(clock.now() - BLOCKED_EVERY)
    if db.session.scalar(sa.select(SignIn.id).where(*blocked, recent).limit(1)) is None:
        with write_transaction() as session:
            session.add(_row(user.id, visitor, SignInOutcome.BLOCKED))


def _log_attempt(event: str, sentence: str, user_id: uuid.UUID | None, visitor: Visitor) -> None:
    # Not what was typed: it may be a password in the wrong field.
    account = f"user:{user_id}" if user_id else "unknown"
    fields = {"event": event, "remote_addr": visitor.address, "account": account}
    log.warning("%s: account %s, from %s.", sentence, account, visitor.address, extra=fields)


def _row(user_id: uuid.UUID, visitor: Visitor, outcome: SignInOutcome) -> SignIn:
    now = clock.now()
    return SignIn(
        id=new_id(now),
        user_id=user_id,
        at=now,
        outcome=outcome,
        address=visitor.address,
        network=visitor.network,
        user_agent=visitor.user_agent,
    )


# --- read --------------------------------------------------------------------------------------------------------


def list_sign_ins(user: User, limit: int) -> Sequence[SignIn]:
    """Return the newest attempts to sign in to an account, the newest first."""
    rows = sa.select(SignIn).where(SignIn.user_id == user.id).order_by(SignIn.id.desc()).limit(limit)
    return db.session.scalars(rows).all()


def has_signed_in(user: User) -> bool:
    """Return whether anybody has signed in to an account, as far as is remembered."""
    succeeded = SignIn.user_id == user.id, SignIn.outcome == SignInOutcome.SIGNED_IN
    return db.session.scalar(sa.select(SignIn.id).where(*succeeded).limit(1)) is not None
