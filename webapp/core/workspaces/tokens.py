"""Keeps API tokens: created and shown once, looked up at every request, revoked for good."""

import hmac
import secrets
import uuid
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import CompiledStatement
from webapp.core.database.transactions import update_best_effort, write_transaction
from webapp.core.errors import Conflict, Fault, Invalid, NotFound
from webapp.core.hashing import hash_secret
from webapp.core.limits import limits
from webapp.core.models import ApiToken, Membership, Scope, TokenStatus, api_tokens, new_id
from webapp.core.validation import find_name_faults
from webapp.core.workspaces.members import lock_self
from webapp.core.workspaces.sponsors import has_live_sponsor, take_over
from webapp.core.workspaces.workspaces import require_manager

RUNNER_SCOPES = (Scope.READ, Scope.WRITE)
"""What a new token may do unless other scopes are asked for."""
TOUCH_EVERY = timedelta(minutes=1)
NAME_LIMIT = 100
MAX_OVERLAP = timedelta(days=90)
"""How long a token that was replaced may go on working beside its successor."""
SHOW_ENDED = timedelta(days=30)
MAX_ENDED = 50
"""How long, and how many, revoked and expired tokens stand in lists."""


@dataclass(frozen=True)
class TokenPrincipal:
    """A token that was accepted: which one, for which workspace, with which scopes."""

    id: uuid.UUID
    workspace_id: uuid.UUID
    scopes: frozenset[str]

    @property
    def ref(self) -> str:
        """Return how records name this token."""
        return f"token:{self.id}"


def create_unchecked(
    workspace_id: uuid.UUID,
    name: str,
    *,
    scopes: Collection[str] = RUNNER_SCOPES,
    expires_at: datetime | None = None,
    sponsor_id: uuid.UUID | None = None,
    by: Actor,
) -> tuple[ApiToken, str]:
    """Create a token, whoever asks, and return it with its full text, which nobody can read again.

    It counts by the right of ``sponsor_id``, by the administrator's if there is none. Raises ``Invalid``, and
    ``Conflict`` (``too_many``).
    """
    faults = find_name_faults(name, NAME_LIMIT)
    if not scopes or not set(scopes) <= set(Scope):
        faults.append(Fault(("scopes",), f"One or more of {', '.join(Scope)}."))
    if expires_at is not None and expires_at <= clock.now():
        faults.append(Fault(("expires_at",), "A moment in the future."))
    if faults:
        raise Invalid(faults)
    with write_transaction() as session:
        ordered_scopes = [scope.value for scope in Scope if scope in scopes]
        return _add(session, workspace_id, name.strip(), ordered_scopes, expires_at, sponsor_id, by)


def _add(
    session: Session,
    workspace_id: uuid.UUID,
    name: str,
    scopes: list[str],
    expires_at: datetime | None,
    sponsor_id: uuid.UUID | None,
    by: Actor,
) -> tuple[ApiToken, str]:
    """Add a token in the caller's transaction, and return it with its full text."""
    public_id, random_part = secrets.token_hex(6), secrets.token_hex(24)
    secret = f"{random_part}{compute_checksum(public_id, random_part)}"
    at = clock.now()
    token = ApiToken(
        id=new_id(at),
        public_id=public_id,
        secret_hash=hash_secret(secret),
        workspace_id=workspace_id,
        name=name,
        scopes=scopes,
        created_by=by.ref,
        sponsor_id=sponsor_id,
        created_at=at,
        expires_at=expires_at,
    )
    owner = limits.of_workspace(workspace_id)
    limits.require_room(session, owner, limits.TOKENS, select_count(workspace_id))
    limits.require_room(session, owner, limits.NEW_TOKENS, select_new_count(workspace_id))
    session.add(token)
    audit.record(session, "token.created", token.ref, by=by, workspace_id=workspace_id, detail={"scopes": scopes})
    return token, f"cb_{public_id}_{secret}"


def compute_checksum(public_id: str, random_part: str) -> str:
    """Return the last eight digits of a token, by which a scanner knows it from a text that only looks like one."""
    return f"{zlib.crc32(f'cb_{public_id}_{random_part}'.encode()):08x}"


def default_end(lifetime: timedelta | None) -> datetime | None:
    """Return when a token of today ends unless somebody says otherwise; never without a lifetime."""
    return None if lifetime is None else clock.now() + lifetime


def create(
    member: Membership, name: str, *, scopes: Collection[str], expires_at: datetime | None = None, by: Actor
) -> tuple[ApiToken, str]:
    """Create a token, as ``create_unchecked``. Raises ``Forbidden`` unless ``member`` is the owner or an admin."""
    require_manager(member)
    return create_unchecked(
        member.workspace_id, name, scopes=scopes, expires_at=expires_at, sponsor_id=member.user_id, by=by
    )


_COLUMNS = (
    api_tokens.c.id,
    api_tokens.c.workspace_id,
    api_tokens.c.secret_hash,
    api_tokens.c.scopes,
    api_tokens.c.expires_at,
    api_tokens.c.revoked_at,
    api_tokens.c.last_used_at,
)
_BY_PUBLIC_ID = CompiledStatement(
    sa.select(*_COLUMNS).where(api_tokens.c.public_id == sa.bindparam("public_id"), has_live_sponsor(ApiToken)),
    _COLUMNS,
)


def authenticate(text: str) -> TokenPrincipal | None:
    """Return who ``cb_<public id>_<secret>`` is, read afresh.

    ``None`` when unknown, wrong, expired or revoked, or when its sponsor may not create tokens any more.
    """
    prefix, _, rest = text.partition("_")
    public_id, _, secret = rest.partition("_")
    if prefix != "cb" or not secret or not text.isascii() or "\0" in text:
        return None
    row = _BY_PUBLIC_ID.fetch_first({"public_id": public_id})
    if row is None:
        return None
    token_id, workspace_id, secret_hash, scopes, expires_at, revoked_at, last_used_at = row
    if not hmac.compare_digest(secret_hash, hash_secret(secret)):
        return None
    now = clock.now()
    if revoked_at is not None or (expires_at is not None and expires_at <= now):
        return None
    if last_used_at is None or last_used_at <= now - TOUCH_EVERY:
        due = sa.or_(api_tokens.c.last_used_at.is_(None), api_tokens.c.last_used_at <= now - TOUCH_EVERY)
        update_best_effort(sa.update(api_tokens).where(api_tokens.c.id == token_id, due).values(last_used_at=now))
    return TokenPrincipal(token_id, workspace_id, frozenset(scopes))


def _is_accepted(at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Return in SQL what ``ApiToken.status`` calls good."""
    return ApiToken.revoked_at.is_(None), sa.or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > at)


def select_count(workspace_id: uuid.UUID) -> sa.Select[int]:
    """Return the statement that counts the tokens of a workspace which are neither revoked nor expired."""
    return sa.select(sa.func.count()).where(ApiToken.workspace_id == workspace_id, *_is_accepted(clock.now()))


def select_new_count(workspace_id: uuid.UUID) -> sa.Select[int]:
    """Return the statement that counts the tokens of a workspace that were created within a day, ended or not."""
    created = ApiToken.workspace_id == workspace_id, ApiToken.created_at > clock.now() - limits.DAY
    return sa.select(sa.func.count()).where(*created)


def list_tokens(workspace_id: uuid.UUID) -> Sequence[ApiToken]:
    """Return the tokens of a workspace, newest first: those that are accepted, then those that ended lately.

    The others stay as they are, because jobs and the audit log name them.
    """
    now = clock.now()
    tokens = sa.select(ApiToken).where(ApiToken.workspace_id == workspace_id).order_by(ApiToken.id.desc())
    ended_at = sa.func.coalesce(ApiToken.revoked_at, ApiToken.expires_at)
    accepted = db.session.scalars(tokens.where(*_is_accepted(now))).all()
    ended = tokens.where(ended_at.between(now - SHOW_ENDED, now)).limit(MAX_ENDED)
    return [*accepted, *db.session.scalars(ended)]


def get(workspace_id: uuid.UUID, token_id: uuid.UUID) -> ApiToken:
    """Return a token of a workspace. Raises ``NotFound``."""
    is_token = ApiToken.id == token_id, ApiToken.workspace_id == workspace_id
    token = db.session.scalar(sa.select(ApiToken).where(*is_token))
    if token is None:
        raise NotFound("There is no such token.")
    return token


def rotate(
    member: Membership, token_id: uuid.UUID, *, overlap: timedelta, expires_at: datetime | None, by: Actor
) -> tuple[ApiToken, str]:
    """Replace a token, as ``rotate_unchecked``.

    Raises ``NotFound``, and ``Forbidden`` unless ``member`` is the owner or an admin.
    """
    require_manager(member)
    public_id = get(member.workspace_id, token_id).public_id
    return rotate_unchecked(public_id, overlap=overlap, expires_at=expires_at, sponsor_id=member.user_id, by=by)


def rotate_unchecked(
    public_id: str,
    *,
    overlap: timedelta,
    expires_at: datetime | None,
    sponsor_id: uuid.UUID | None = None,
    by: Actor,
) -> tuple[ApiToken, str]:
    """Create a token with the name and the scopes of another, which is refused once ``overlap`` is over.

    It counts by the right of ``sponsor_id``, as one that is created. Returns it with its full text. Raises
    ``NotFound``, ``Invalid``, and ``Conflict`` (``token_ended``) for a token that is not accepted any more.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise Invalid([Fault(("overlap",), f"From 0 to {MAX_OVERLAP.days} days.")])
    query = sa.select(ApiToken).where(ApiToken.public_id == public_id).with_for_update()
    with write_transaction() as session:
        old = session.scalar(query.execution_options(populate_existing=True))
        if old is None:
            raise NotFound("There is no such token.")
        now = clock.now()
        if old.status(now) is not TokenStatus.GOOD:
            raise Conflict("token_ended", f"The token {old.name} is {old.status(now)} already; create another one.")
        new, text = _add(session, old.workspace_id, old.name, old.scopes, expires_at, sponsor_id, by)
        end = now + overlap
        old.expires_at = end if old.expires_at is None else min(end, old.expires_at)
        detail = {"by": new.public_id, "until": clock.to_iso(old.expires_at)}
        audit.record(session, "token.rotated", old.ref, by=by, workspace_id=old.workspace_id, detail=detail)
    return new, text


def revoke(member: Membership, token_id: uuid.UUID, *, by: Actor) -> ApiToken:
    """Refuse a token from now on, in every process. Again changes nothing.

    Raises ``NotFound``, and ``Forbidden`` unless ``member`` is the owner or an admin.
    """
    require_manager(member)
    return revoke_unchecked(get(member.workspace_id, token_id).public_id, by=by)


def adopt(member: Membership, token_id: uuid.UUID, *, by: Actor) -> ApiToken:
    """Let a token count by the right of ``member``, whoever created it. Again changes nothing.

    Raises ``NotFound``, ``Forbidden`` unless ``member`` is the owner or an admin, and ``Conflict`` (``revoked``).
    """
    require_manager(member)
    with write_transaction() as session:
        require_manager(lock_self(session, member))
        is_token = ApiToken.id == token_id, ApiToken.workspace_id == member.workspace_id
        token = session.scalar(sa.select(ApiToken).where(*is_token).execution_options(populate_existing=True))
        if token is None:
            raise NotFound("There is no such token.")
        if token.revoked_at is not None:
            raise Conflict("revoked", f"The token {token.name} is revoked for good.")
        take_over(session, token, member.user_id, by=by)
    return token


def revoke_unchecked(public_id: str, *, by: Actor) -> ApiToken:
    """Refuse a token from now on, whoever asks and whatever its workspace. Raises ``NotFound``."""
    query = sa.select(ApiToken).where(ApiToken.public_id == public_id)
    with write_transaction() as session:
        token = session.scalar(query.execution_options(populate_existing=True))
        if token is None:
            raise NotFound("There is no such token.")
        if token.revoked_at is None:
            token.revoked_at = clock.now()
            audit.record(session, "token.revoked", token.ref, by=by, workspace_id=token.workspace_id)
    return token
