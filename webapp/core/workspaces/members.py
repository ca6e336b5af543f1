"""Keeps who belongs to a workspace: roles, removal, leaving, the transfer of ownership.

Who may do what, ``Membership`` answers, to the buttons and to the verbs here. Each verb reads both roles afresh while
it holds the lock on the members: what a page showed a minute ago, or another admin did a moment ago, decides nothing.
"""

import uuid
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.bidi import isolate
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from webapp.core.limits import limits
from webapp.core.models import Membership, Role, User, Workspace
from webapp.core.workspaces import sponsors, workspaces

# --- read --------------------------------------------------------------------------------------------------------


def list_members(workspace_id: uuid.UUID) -> Sequence[Membership]:
    """Return everybody in a workspace, by name."""
    return db.session.scalars(
        sa.select(Membership)
        .join(Membership.user)
        .where(Membership.workspace_id == workspace_id)
        .order_by(sa.func.lower(User.name), User.email)
    ).all()


def get(workspace_id: uuid.UUID, user_id: uuid.UUID) -> Membership:
    """Return a member of a workspace. Raises ``NotFound``."""
    is_member = Membership.workspace_id == workspace_id, Membership.user_id == user_id
    return _require_member(db.session.scalar(sa.select(Membership).where(*is_member)))


def select_count(workspace_id: uuid.UUID) -> sa.Select[int]:
    """Return the statement that counts the members of a workspace."""
    return sa.select(sa.func.count()).where(Membership.workspace_id == workspace_id)


def _require_member(member: Membership | None) -> Membership:
    if member is None:
        raise NotFound("There is no such member.")
    return member


# --- lock --------------------------------------------------------------------------------------------------------


def lock_members(session: Session, workspace_id: uuid.UUID) -> None:
    """Let nobody else change who is in a workspace, and in which role, until this transaction ends.

    Each change reads the roles as the change before it left them, so that of two at once one is refused.
    """
    session.execute(sa.select(Workspace.id).where(Workspace.id == workspace_id).with_for_update(key_share=True))


def _lock_member(session: Session, workspace_id: uuid.UUID, user_id: uuid.UUID) -> Membership | None:
    """Return a membership as it stands in this transaction, which locks it; ``None`` where there is none."""
    return session.scalar(
        sa.select(Membership)
        .where(Membership.workspace_id == workspace_id, Membership.user_id == user_id)
        .with_for_update(of=Membership)
        .execution_options(populate_existing=True)
    )


def lock_self(session: Session, member: Membership) -> Membership:
    """Return the one who asks, as they stand now, and lock the members.

    Raises ``NotFound`` if they are none any more.
    """
    me, _ = lock_both(session, member, member.user_id)
    return me


def lock_both(session: Session, member: Membership, user_id: uuid.UUID) -> tuple[Membership, Membership]:
    """Return who asks and whom it is about, as they stand now, and lock the members.

    Raises ``NotFound`` if either is no member any more.
    """
    workspace_id, my_id = member.workspace_id, member.user_id
    lock_members(session, workspace_id)
    me = _lock_member(session, workspace_id, my_id)
    if me is None:
        raise NotFound("There is no such page.")
    return me, me if user_id == my_id else _require_member(_lock_member(session, workspace_id, user_id))


def require_room(session: Session, workspace_id: uuid.UUID) -> None:
    """Refuse another member where a workspace has as many as it may, and lock the members. Raises ``Conflict``."""
    limits.require_room(session, limits.of_workspace(workspace_id), limits.MEMBERS, select_count(workspace_id))


# --- roles -------------------------------------------------------------------------------------------------------


def change_role(
    member: Membership, user_id: uuid.UUID, role: Role, *, keep: Collection[uuid.UUID] = (), by: Actor
) -> Membership:
    """Make a member an admin, or an admin a member. The role they have changes nothing.

    An admin who becomes a member stands for nothing any more: ``member`` takes over the tokens and webhooks whose ids
    are in ``keep``, the others are revoked. Raises ``NotFound``, ``Forbidden``, and ``Invalid`` for the role owner,
    which is transferred.
    """
    if role is Role.OWNER:
        raise Invalid([Fault(("role",), "A workspace has one owner; transfer the ownership instead.")])
    with write_transaction() as session:
        me, other = lock_both(session, member, user_id)
        if other.role is role and me.role.can_manage:
            return other
        require_may_change_role(me, other, role)
        old_role, other.role = other.role, role
        if role is Role.MEMBER:
            sponsors.release(session, me.workspace_id, other.user, keep=keep, new_sponsor_id=me.user_id, by=by)
        detail = {"from": old_role.value, "to": role.value}
        audit.record(session, "member.role_changed", other.user.ref, by=by, workspace_id=me.workspace_id, detail=detail)
    return other


def require_may_change_role(me: Membership, other: Membership, role: Role) -> None:
    """Refuse unless ``me`` may give the other that role. Raises ``Forbidden``."""
    allowed = me.may_make_admin(other) if role is Role.ADMIN else me.may_make_member(other)
    if not allowed:
        raise Forbidden(
            f"The {me.role} of a workspace may not make the {other.role} {isolate(other.user.name)} "
            f"{with_article(role)}."
        )


def remove(member: Membership, user_id: uuid.UUID, *, keep: Collection[uuid.UUID] = (), by: Actor) -> Membership:
    """Remove a member: from now on the workspace is unknown to them.

    ``member`` takes over their tokens and webhooks whose ids are in ``keep``; the others are revoked. Raises
    ``NotFound`` and ``Forbidden``.
    """
    with write_transaction() as session:
        me, other = lock_both(session, member, user_id)
        require_may_remove(me, other)
        _end_membership(session, other, "member.removed", keep, me.user_id, by=by)
    return other


def require_may_remove(me: Membership, other: Membership) -> None:
    """Refuse unless ``me`` may remove the other. Raises ``Forbidden``."""
    if not me.may_remove(other):
        raise Forbidden(
            f"As {me.role} of {isolate(me.workspace.name)} you may not remove "
            f"the {other.role} {isolate(other.user.name)}."
        )


def leave(member: Membership, *, keep: Collection[uuid.UUID] = (), by: Actor) -> None:
    """Leave a workspace.

    Its owner takes over one's tokens and webhooks whose ids are in ``keep``; the others are revoked. Raises
    ``Forbidden`` for the owner, who transfers the ownership first, and ``Conflict`` (``nobody``).
    """
    with write_transaction() as session:
        me = lock_self(session, member)
        require_may_leave(me)
        new_sponsor_id = sponsors.find_new_sponsor(session, me.workspace_id, me.user)
        _end_membership(session, me, "member.left", keep, new_sponsor_id, by=by)


def require_may_leave(me: Membership) -> None:
    """Refuse the owner. Raises ``Forbidden``."""
    if not me.may_leave:
        raise Forbidden(f"You own {isolate(me.workspace.name)}. Transfer the ownership first; then you can leave.")


def transfer(member: Membership, user_id: uuid.UUID, *, by: Actor) -> Membership:
    """Make another member the owner; ``member`` becomes admin.

    Raises ``NotFound``, ``Forbidden`` unless ``member`` is the owner, and ``Conflict`` (``deactivated``).
    """
    with write_transaction() as session:
        me, other = lock_both(session, member, user_id)
        require_may_transfer(me, other)
        _make_owner(session, other, by=by)
    return other


def require_may_transfer(me: Membership, other: Membership) -> None:
    """Refuse unless ``me`` may make the other the owner. Raises ``Forbidden``; ``Conflict`` if they own it already."""
    if me.user_id == other.user_id and me.may_delete:
        raise Conflict("owner", f"You own {isolate(me.workspace.name)} already.")
    if not me.may_transfer_to(other):
        raise Forbidden(f"Only the owner of {isolate(me.workspace.name)} may transfer it.")


def with_article(role: Role) -> str:
    """Return the role with its article."""
    return f"an {role}" if role in (Role.OWNER, Role.ADMIN) else f"a {role}"


def _end_membership(
    session: Session,
    member: Membership,
    action: str,
    keep: Collection[uuid.UUID],
    new_sponsor_id: uuid.UUID | None,
    *,
    by: Actor,
) -> None:
    _delete_membership(session, member)
    sponsors.release(session, member.workspace_id, member.user, keep=keep, new_sponsor_id=new_sponsor_id, by=by)
    _record_end(session, member, action, by=by)


def _delete_membership(session: Session, member: Membership) -> None:
    session.execute(
        sa.delete(Membership)
        .where(Membership.workspace_id == member.workspace_id, Membership.user_id == member.user_id)
        .execution_options(synchronize_session=False)
    )


def _record_end(session: Session, member: Membership, action: str, *, by: Actor) -> None:
    detail = {"role": member.role.value}
    audit.record(session, action, member.user.ref, by=by, workspace_id=member.workspace_id, detail=detail)


# --- ownership, and the command line -----------------------------------------------------------------------------


def _make_owner(session: Session, new_owner: Membership, *, by: Actor) -> None:
    """Make a member the owner, and the owner an admin, within a transaction that has locked the members.

    Raises ``Conflict``: ``deactivated``, for a workspace must not end up with nobody who can sign in, and ``too_many``.
    """
    if new_owner.role is Role.OWNER:
        return
    if new_owner.user.deactivated_at is not None:
        raise Conflict("deactivated", f"The account {new_owner.user.email} is deactivated and cannot own a workspace.")
    workspaces.require_room(session, new_owner.user)
    in_workspace = Membership.workspace_id == new_owner.workspace_id
    is_new_owner = in_workspace, Membership.user_id == new_owner.user_id
    session.execute(sa.update(Membership).where(in_workspace, Membership.role == Role.OWNER).values(role=Role.ADMIN))
    session.execute(sa.update(Membership).where(*is_new_owner).values(role=Role.OWNER))
    workspace_id = new_owner.workspace_id
    audit.record(session, "workspace.transferred", new_owner.user.ref, by=by, workspace_id=workspace_id)


def transfer_unchecked(workspace: Workspace, user: User, *, by: Actor) -> None:
    """Make a member the owner, whoever asks: for the command line alone. To the owner it changes nothing.

    Raises ``NotFound``, and ``Conflict`` (``deactivated``).
    """
    with write_transaction() as session:
        lock_members(session, workspace.id)
        new_owner = _lock_member(session, workspace.id, user.id)
        if new_owner is None:
            raise NotFound(f"{user.email} is not a member of {workspace.slug}; add them first.")
        _make_owner(session, new_owner, by=by)


def remove_unchecked(workspace: Workspace, user: User, *, keep_all: bool = False, by: Actor) -> sponsors.Sponsored:
    """Remove a member, whoever asks: for the command line alone. Returns what of theirs was revoked.

    Their tokens and webhooks are revoked or, with ``keep_all``, taken over by the owner. Raises ``NotFound``, and
    ``Conflict``: ``owner``, whose workspace is transferred first, or ``nobody``.
    """
    with write_transaction() as session:
        lock_members(session, workspace.id)
        member = _lock_member(session, workspace.id, user.id)
        if member is None:
            raise NotFound(f"{user.email} is not a member of {workspace.slug}.")
        if not member.may_leave:
            raise Conflict("owner", f"{user.email} owns {workspace.slug}; transfer it first.")
        _delete_membership(session, member)
        revoked = sponsors.release_all(session, workspace.id, user, keep_all=keep_all, by=by)
        _record_end(session, member, "member.removed", by=by)
    return revoked


def add_unchecked(workspace: Workspace, user: User, role: Role, *, by: Actor) -> None:
    """Let a person in, whoever asks: for the command line alone.

    Raises ``Conflict`` (``already_member``, ``too_many``); ``Invalid`` for the role owner.
    """
    if role is Role.OWNER:
        raise Invalid([Fault(("role",), "A workspace has one owner; transfer the ownership instead.")])
    try:
        with write_transaction() as session:
            require_room(session, workspace.id)
            session.add(Membership(workspace_id=workspace.id, user_id=user.id, role=role, created_at=clock.now()))
            detail = {"role": role.value}
            audit.record(session, "member.added", user.ref, by=by, workspace_id=workspace.id, detail=detail)
    except IntegrityError:
        raise Conflict("already_member", f"{user.email} is already in {workspace.slug}.") from None
