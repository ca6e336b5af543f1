"""What the members of a workspace do to each other: roles, removal, leaving, the transfer of ownership.

Who may do what, ``Membership`` answers, to the buttons and to the verbs here. Each verb reads both roles afresh while
it holds the lock on the members: what a page showed a minute ago, or another admin did a moment ago, decides nothing.
"""

import uuid
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Forbidden, Invalid, NotFound, Refused
from webapp.core.models import Invitation, Membership, Role
from webapp.core.workspaces.workspaces import hand_over, lock_members, member_in

_Found = TypeVar("_Found")


def one(user_id: uuid.UUID, *, within: uuid.UUID) -> Membership:
    """A member of a workspace. Raises ``NotFound``."""
    mine = Membership.workspace_id == within, Membership.user_id == user_id
    return _found(db.session.scalar(sa.select(Membership).where(*mine)))


def change_role(member: Membership, user_id: uuid.UUID, role: Role, *, by: Actor) -> Membership:
    """Make a member an admin, or an admin a member. The role they have changes nothing.

    Raises ``NotFound``, ``Forbidden``, and ``Invalid`` for the role owner, which is transferred.
    """
    if role is Role.OWNER:
        raise Invalid([Fault(("role",), "A workspace has one owner; transfer the ownership instead.")])
    with write_transaction() as session:
        me, other = meet(session, member, user_id)
        if other.role is role and me.role.can_manage:
            return other
        check_role(me, other, role)
        former, other.role = other.role, role
        if role is Role.MEMBER:
            _revoke_invitations_by(session, other)
        detail = {"from": former.value, "to": role.value}
        audit.record(session, "member.role_changed", other.user.ref, by=by, workspace_id=me.workspace_id, detail=detail)
    return other


def check_role(me: Membership, other: Membership, role: Role) -> None:
    """Raises ``Forbidden`` unless ``me`` may give the other that role."""
    allowed = me.may_make_admin(other) if role is Role.ADMIN else me.may_make_member(other)
    if not allowed:
        raise Forbidden(f"The {me.role} of a workspace may not make the {other.role} {other.user.name} {a(role)}.")


def remove(member: Membership, user_id: uuid.UUID, *, by: Actor) -> Membership:
    """Put a member out: from now on the workspace is unknown to them. Raises ``NotFound`` and ``Forbidden``."""
    with write_transaction() as session:
        me, other = meet(session, member, user_id)
        check_removal(me, other)
        _go(session, other, "member.removed", by=by)
    return other


def check_removal(me: Membership, other: Membership) -> None:
    """Raises ``Forbidden`` unless ``me`` may put the other out."""
    if not me.may_remove(other):
        raise Forbidden(f"As {me.role} of {me.workspace.name} you may not remove the {other.role} {other.user.name}.")


def leave(member: Membership, *, by: Actor) -> None:
    """Go out of a workspace. Raises ``Forbidden`` for the owner, who transfers the ownership first."""
    with write_transaction() as session:
        me, _ = meet(session, member, member.user_id)
        check_leave(me)
        _go(session, me, "member.left", by=by)


def check_leave(me: Membership) -> None:
    """Raises ``Forbidden`` for the owner."""
    if not me.may_leave:
        raise Forbidden(f"You own {me.workspace.name}. Transfer the ownership first; then you can leave.")


def transfer(member: Membership, user_id: uuid.UUID, *, by: Actor) -> Membership:
    """Make another member the owner; ``member`` becomes admin.

    Raises ``NotFound``, ``Forbidden`` unless ``member`` is the owner, and ``Refused`` (``deactivated``).
    """
    with write_transaction() as session:
        me, other = meet(session, member, user_id)
        check_transfer(me, other)
        hand_over(session, other, by=by)
    return other


def check_transfer(me: Membership, other: Membership) -> None:
    """Raises ``Forbidden`` unless ``me`` may make the other the owner, and ``Refused`` if they own it already."""
    if me.user_id == other.user_id and me.may_delete:
        raise Refused("owner", f"You own {me.workspace.name} already.")
    if not me.may_transfer_to(other):
        raise Forbidden(f"Only the owner of {me.workspace.name} may transfer it.")


def a(role: Role) -> str:
    """The role with its article."""
    return f"an {role}" if role in (Role.OWNER, Role.ADMIN) else f"a {role}"


def meet(session: Session, member: Membership, user_id: uuid.UUID) -> tuple[Membership, Membership]:
    """Who asks and whom it is about, as they stand now. Raises ``NotFound`` if either is no member any more."""
    workspace_id, mine = member.workspace_id, member.user_id
    lock_members(session, workspace_id)
    me = member_in(session, workspace_id, mine)
    if me is None:
        raise NotFound("There is no such page.")
    return me, me if user_id == mine else _found(member_in(session, workspace_id, user_id))


def _found(other: _Found | None) -> _Found:
    if other is None:
        raise NotFound("There is no such member.")
    return other


def _go(session: Session, member: Membership, action: str, *, by: Actor) -> None:
    session.execute(
        sa.delete(Membership)
        .where(Membership.workspace_id == member.workspace_id, Membership.user_id == member.user_id)
        .execution_options(synchronize_session=False)
    )
    _revoke_invitations_by(session, member)
    detail = {"role": member.role.value}
    audit.record(session, action, member.user.ref, by=by, workspace_id=member.workspace_id, detail=detail)


def _revoke_invitations_by(session: Session, member: Membership) -> None:
    """Close what a member opened who may invite no longer: a link in their hands must not lead back in."""
    session.execute(
        sa.update(Invitation)
        .where(
            Invitation.workspace_id == member.workspace_id,
            Invitation.created_by == member.user.ref,
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
        )
        .values(revoked_at=clock.now())
    )
