"""Invitations: a link for one address and one role, shown once, good for seven days and for one person."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.core import audit, clock, mail_limits
from webapp.core.accounts import accounts
from webapp.core.audit import Actor
from webapp.core.bidi import isolate
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from webapp.core.hashing import hash_secret
from webapp.core.limits import limits
from webapp.core.models import Invitation, Membership, Role, User, Workspace, new_id
from webapp.core.workspaces.members import lock_self, require_room
from webapp.core.workspaces.sponsors import has_live_sponsor
from webapp.core.workspaces.workspaces import require_manager

LIFETIME = timedelta(days=7)


class NoInvitation(NotFound):
    """The link leads to nothing: it is unknown, used, revoked or too old; which of these is not said."""

    def __init__(self) -> None:
        super().__init__("This invitation is no longer valid.")


@dataclass(frozen=True)
class NewAccountPolicy:
    """For which addresses an invitation may create an account; ``None`` is for all, no domains for none."""

    domains: frozenset[str] | None = None

    def allows(self, email: str) -> bool:
        """Return whether a link for this address may create an account."""
        return self.domains is None or email.rpartition("@")[2] in self.domains


EVERYBODY = NewAccountPolicy()


def create(member: Membership, email: str, role: str, *, by_mail: bool = False, by: Actor) -> tuple[Invitation, str]:
    """Create an invitation, and return it with the secret of its link. An open one for the address is revoked.

    ``by_mail``: the link goes to its address by mail, and the caller shows it to nobody. Raises ``Forbidden`` unless
    ``member`` may invite, ``Invalid``, ``Conflict`` (``too_many``), and ``MailLimitReached``.
    """
    address = accounts.parse_email(email)
    faults = []
    if address is None:
        faults.append(Fault(("email",), "An email address like ana@example.com."))
    if role not in (Role.ADMIN, Role.MEMBER):
        faults.append(Fault(("role",), "Choose admin or member."))
    require_manager(member)
    if faults or address is None:
        raise Invalid(faults)
    at, secret = clock.now(), secrets.token_urlsafe(32)
    invitation = Invitation(
        id=new_id(at),
        secret_hash=hash_secret(secret),
        workspace_id=member.workspace_id,
        email=address,
        role=Role(role),
        created_by=by.ref,
        sponsor_id=member.user_id,
        created_at=at,
        expires_at=at + LIFETIME,
        mailed_at=at if by_mail else None,
    )
    with write_transaction() as session:
        me = lock_self(session, member)
        require_manager(me)
        if _is_member(session, me.workspace_id, User.email == address):
            raise Invalid([Fault(("email",), f"{isolate(address)} is in {isolate(me.workspace.name)} already.")])
        session.execute(_update_open(me.workspace_id).where(Invitation.email == address).values(revoked_at=at))
        owner = limits.of_workspace(me.workspace_id)
        limits.require_room(session, owner, limits.INVITATIONS, select_count(me.workspace_id))
        limits.require_room(session, owner, limits.NEW_INVITATIONS, select_new_count(me.workspace_id))
        if by_mail:
            mail_limits.claim(session, person=by.ref, workspace=str(me.workspace_id), recipient=address)
        session.add(invitation)
        detail = {"email": address, "role": role}
        audit.record(session, "member.invited", _ref(invitation), by=by, workspace_id=me.workspace_id, detail=detail)
    return invitation, secret


def mark_shown(invitation: Invitation) -> None:
    """Remember that a link is shown to somebody after all, because its mail was not sent; before it is shown."""
    statement = sa.update(Invitation).where(Invitation.id == invitation.id).values(mailed_at=None)
    with write_transaction() as session:
        session.execute(statement)


def list_open(workspace_id: uuid.UUID) -> Sequence[Invitation]:
    """Return the open invitations of a workspace, newest first."""
    return db.session.scalars(_select_open(workspace_id).order_by(Invitation.id.desc())).all()


def select_count(workspace_id: uuid.UUID) -> sa.Select[int]:
    """Return the statement that counts the open invitations of a workspace."""
    return sa.select(sa.func.count()).select_from(_select_open(workspace_id).subquery())


def select_new_count(workspace_id: uuid.UUID) -> sa.Select[int]:
    """Return the statement that counts the invitations of a workspace that were created within a day, ended or not."""
    created = Invitation.workspace_id == workspace_id, Invitation.created_at > clock.now() - limits.DAY
    return sa.select(sa.func.count()).where(*created)


def revoke(member: Membership, invitation_id: uuid.UUID, *, by: Actor) -> Invitation:
    """Close a link that nobody has used yet. Again changes nothing.

    Raises ``Forbidden`` unless ``member`` may invite, ``NotFound``, and ``Conflict`` (``accepted``).
    """
    require_manager(member)
    is_invitation = Invitation.id == invitation_id, Invitation.workspace_id == member.workspace_id
    with write_transaction() as session:
        close = _update_open(member.workspace_id).where(*is_invitation).values(revoked_at=clock.now())
        closed = session.execute(close.returning(Invitation.id)).first()
        invitation = session.scalar(
            sa.select(Invitation).where(*is_invitation).execution_options(populate_existing=True)
        )
        if invitation is None:
            raise NotFound("There is no such invitation.")
        if invitation.accepted_at is not None:
            raise Conflict("accepted", f"{isolate(invitation.email)} has accepted already.")
        if closed:
            detail = {"email": invitation.email}
            audit.record(
                session, "invitation.revoked", _ref(invitation), by=by, workspace_id=member.workspace_id, detail=detail
            )
    return invitation


# --- behind the link ---------------------------------------------------------------------------------------------


def get_by_secret(secret: str) -> Invitation:
    """Return the open invitation of a link. Raises ``NoInvitation``."""
    invitation = db.session.scalar(
        sa.select(Invitation)
        .where(Invitation.secret_hash == hash_secret(secret), *_is_open())
        .execution_options(populate_existing=True)
    )
    if invitation is None:
        raise NoInvitation
    return invitation


def require_invited(invitation: Invitation, user: User) -> None:
    """Refuse an account that the invitation is not for. Raises ``Forbidden``."""
    if user.email != invitation.email:
        raise Forbidden(
            f"This invitation is for {isolate(invitation.email)}, and you are signed in as {isolate(user.email)}. "
            "Sign out, then open the link again."
        )


def accept(secret: str, user: User, *, by: Actor) -> Workspace:
    """Let an account in by a link. Raises ``NoInvitation``, and ``Forbidden`` if it is for another address."""
    invitation = get_by_secret(secret)
    require_invited(invitation, user)
    with write_transaction() as session:
        _join(session, invitation, user, by=by)
    return invitation.workspace


def accept_as_new(
    secret: str, name: str, password: str, *, policy: NewAccountPolicy = EVERYBODY, address: str | None
) -> User:
    """Let somebody in who has no account: it is created under the invited address, in the same transaction.

    Raises ``NoInvitation``, ``Invalid``, ``Conflict`` (``email_taken``), and ``Forbidden`` where the board's ``policy``
    creates no account for the address.
    """
    invitation = get_by_secret(secret)
    if not policy.allows(invitation.email):
        raise Forbidden("This link creates no account. Ask the administrator of this board for one.")
    user = accounts.prepare(invitation.email, name, password)
    by = Actor(user.ref, address)
    try:
        with write_transaction() as session:
            accounts.add(session, user, by=by)
            _join(session, invitation, user, by=by)
    except IntegrityError:
        raise Conflict(
            "email_taken", f"There is an account for {isolate(invitation.email)} now. Sign in to accept."
        ) from None
    return user


def _join(session: Session, invitation: Invitation, user: User, *, by: Actor) -> None:
    # Before the invitation, as whoever invites locks them.
    limits.lock(session, limits.of_workspace(invitation.workspace_id))
    # The link is used up by one statement: of two who press at once, one finds it closed.
    used = session.execute(
        sa.update(Invitation)
        .where(Invitation.id == invitation.id, *_is_open())
        .values(accepted_at=clock.now())
        .returning(Invitation.mailed_at)
    ).first()
    if used is None:
        raise NoInvitation
    if used.mailed_at is not None:
        accounts.mark_verified(session, user, by=by)
    workspace_id, role = invitation.workspace_id, invitation.role
    if _is_member(session, workspace_id, User.id == user.id):
        return
    require_room(session, workspace_id)
    session.add(Membership(workspace_id=workspace_id, user_id=user.id, role=role, created_at=clock.now()))
    session.flush()
    detail = {"role": role.value, "invited_by": invitation.created_by}
    audit.record(session, "member.joined", user.ref, by=by, workspace_id=workspace_id, detail=detail)


def _ref(invitation: Invitation) -> str:
    return f"invitation:{invitation.id}"


def _is_open() -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at > clock.now(),
        has_live_sponsor(Invitation),
    )


def _select_open(workspace_id: uuid.UUID) -> sa.Select[Invitation]:
    return sa.select(Invitation).where(Invitation.workspace_id == workspace_id, *_is_open())


def _update_open(workspace_id: uuid.UUID) -> sa.Update:
    return sa.update(Invitation).where(Invitation.workspace_id == workspace_id, *_is_open())


def _is_member(session: Session, workspace_id: uuid.UUID, who: sa.ColumnElement[bool]) -> bool:
    query = sa.select(Membership.user_id).join(User, User.id == Membership.user_id)
    return session.scalar(query.where(Membership.workspace_id == workspace_id, who)) is not None
