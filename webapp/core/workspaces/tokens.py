"""API tokens: made once and shown once, found at every request, revoked for good."""

import hmac
import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import CompiledStatement
from webapp.core.database.transactions import update_best_effort, write_transaction
from webapp.core.errors import Fault, Invalid, NotFound
from webapp.core.hashing import hashed
from webapp.core.models import ApiToken, Base, Membership, Scope, new_id
from webapp.core.validation import faults_of_name
from webapp.core.workspaces.workspaces import require_manager

RUNNER_SCOPES = (Scope.READ, Scope.WRITE)
"""What a new token may do unless told otherwise."""
MARK_USED_EVERY = timedelta(minutes=1)
NAME_LIMIT = 100

_TOKENS = Base.metadata.tables[ApiToken.__tablename__]
_token = _TOKENS.c


@dataclass(frozen=True)
class Bearer:
    """A token that was shown and found good: which one, for which workspace, with which scopes."""

    id: uuid.UUID
    workspace_id: uuid.UUID
    scopes: frozenset[str]

    @property
    def ref(self) -> str:
        return f"token:{self.id}"


def create(
    workspace_id: uuid.UUID,
    name: str,
    *,
    scopes: Collection[str] = RUNNER_SCOPES,
    expires_at: datetime | None = None,
    by: Actor,
) -> tuple[ApiToken, str]:
    """A new token and its full text, which is never to be had again. Raises ``Invalid``."""
    faults = faults_of_name(name, NAME_LIMIT)
    if not scopes or not set(scopes) <= set(Scope):
        faults.append(Fault(("scopes",), f"One or more of {', '.join(Scope)}."))
    if expires_at is not None and expires_at <= clock.now():
        faults.append(Fault(("expires_at",), "A moment in the future."))
    if faults:
        raise Invalid(faults)
    public_id, secret = secrets.token_hex(6), secrets.token_hex(24)
    at = clock.now()
    token = ApiToken(
        id=new_id(at),
        public_id=public_id,
        secret_hash=hashed(secret),
        workspace_id=workspace_id,
        name=name.strip(),
        scopes=[scope.value for scope in Scope if scope in scopes],
        created_by=by.ref,
        created_at=at,
        expires_at=expires_at,
    )
    with write_transaction() as session:
        session.add(token)
        audit.record(
            session, "token.created", token.ref, by=by, workspace_id=workspace_id, detail={"scopes": token.scopes}
        )
    return token, f"cb_{public_id}_{secret}"


def issue(
    member: Membership, name: str, *, scopes: Collection[str], expires_at: datetime | None = None, by: Actor
) -> tuple[ApiToken, str]:
    """``create``, as a member asks for it. Raises ``Forbidden`` unless that is the owner or an admin."""
    require_manager(member)
    return create(member.workspace_id, name, scopes=scopes, expires_at=expires_at, by=by)


def withdraw(member: Membership, token_id: uuid.UUID, *, by: Actor) -> ApiToken:
    """``revoke``, as a member asks for it. Raises ``NotFound``; ``Forbidden`` unless that is the owner or an admin."""
    require_manager(member)
    token = one(token_id, within=member.workspace_id)
    return revoke(token.public_id, within=member.workspace_id, by=by)


def find(text: str) -> Bearer | None:
    """The token behind ``cb_<public id>_<secret>``, read afresh; null when it is unknown, wrong, expired or revoked."""
    mark, _, rest = text.partition("_")
    public_id, _, secret = rest.partition("_")
    if mark != "cb" or not secret or not text.isascii() or "\0" in text:
        return None
    row = _BY_PUBLIC_ID.fetch_first({"public_id": public_id})
    if row is None:
        return None
    token_id, workspace_id, secret_hash, scopes, expires_at, revoked_at, last_used_at = row
    if not hmac.compare_digest(secret_hash, hashed(secret)):
        return None
    now = clock.now()
    if revoked_at is not None or (expires_at is not None and expires_at <= now):
        return None
    if last_used_at is None or last_used_at <= now - MARK_USED_EVERY:
        due = sa.or_(_token.last_used_at.is_(None), _token.last_used_at <= now - MARK_USED_EVERY)
        update_best_effort(sa.update(_TOKENS).where(_token.id == token_id, due).values(last_used_at=now))
    return Bearer(token_id, workspace_id, frozenset(scopes))


_COLUMNS = (
    _token.id,
    _token.workspace_id,
    _token.secret_hash,
    _token.scopes,
    _token.expires_at,
    _token.revoked_at,
    _token.last_used_at,
)
_BY_PUBLIC_ID = CompiledStatement(sa.select(*_COLUMNS).where(_token.public_id == sa.bindparam("public_id")), _COLUMNS)


def of_workspace(workspace_id: uuid.UUID) -> Sequence[ApiToken]:
    """All tokens of a workspace, newest first, the revoked ones too."""
    return db.session.scalars(
        sa.select(ApiToken).where(ApiToken.workspace_id == workspace_id).order_by(ApiToken.id.desc())
    ).all()


def one(token_id: uuid.UUID, *, within: uuid.UUID) -> ApiToken:
    """A token of a workspace. Raises ``NotFound``."""
    token = db.session.scalar(sa.select(ApiToken).where(ApiToken.id == token_id, ApiToken.workspace_id == within))
    if token is None:
        raise NotFound("There is no such token.")
    return token


def revoke(public_id: str, *, within: uuid.UUID | None = None, by: Actor) -> ApiToken:
    """Refuse a token from now on, in every process. Again changes nothing. Raises ``NotFound``."""
    query = sa.select(ApiToken).where(ApiToken.public_id == public_id)
    if within is not None:
        query = query.where(ApiToken.workspace_id == within)
    with write_transaction() as session:
        token = session.scalar(query.execution_options(populate_existing=True))
        if token is None:
            raise NotFound("There is no such token.")
        if token.revoked_at is None:
            token.revoked_at = clock.now()
            audit.record(session, "token.revoked", token.ref, by=by, workspace_id=token.workspace_id)
    return token
