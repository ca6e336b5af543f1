"""Workspaces and their members. Loading is the permission: whoever is no member finds nothing."""

import re
import secrets
import unicodedata
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.core import audit, clock
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Fault, Forbidden, Invalid, NotFound, Refused
from webapp.core.models import Membership, Role, User, Workspace, new_id
from webapp.core.validation import faults_of_name

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
NAME_LIMIT = 100


def create(name: str, slug: str, *, owner: User, by: Actor) -> Workspace:
    """A new workspace with its owner. Raises ``Invalid``, and ``Refused`` (``slug_taken``)."""
    faults = faults_of_name(name, NAME_LIMIT)
    if not SLUG.fullmatch(slug):
        faults.append(Fault(("slug",), "1 to 50 small letters, digits and hyphens, no hyphen at either end."))
    if faults:
        raise Invalid(faults)
    now = clock.now()
    workspace = Workspace(id=new_id(now), name=name.strip(), slug=slug, created_at=now)
    try:
        with write_transaction() as session:
            session.add(workspace)
            session.flush()
            session.add(Membership(workspace_id=workspace.id, user_id=owner.id, role=Role.OWNER, created_at=now))
            audit.record(session, "workspace.created", f"workspace:{workspace.id}", by=by, workspace_id=workspace.id)
    except IntegrityError:
        raise Refused("slug_taken", f"There is already a workspace with the slug {slug}.") from None
    return workspace


def free_slug(name: str) -> str:
    """A slug like a name that nobody has: ``night-shift``, or with some letters behind it where that one is taken."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "workspace"
    taken = db.session.scalar(sa.select(Workspace.id).where(Workspace.slug == slug)) is not None
    return f"{slug}-{secrets.token_hex(3)}" if taken else slug


def rename(member: Membership, name: str, *, by: Actor) -> None:
    """Give a workspace another name; its slug, which is in every address, stays. The name it has changes nothing.

    Raises ``Forbidden`` unless ``member`` may change its settings, and ``Invalid``.
    """
    require_manager(member)
    if faults := faults_of_name(name, NAME_LIMIT):
        raise Invalid(faults)
    wanted, former = name.strip(), member.workspace.name
    if wanted == former:
        return
    with write_transaction() as session:
        session.execute(sa.update(Workspace).where(Workspace.id == member.workspace_id).values(name=wanted))
        audit.record(
            session,
            "workspace.renamed",
            f"workspace:{member.workspace_id}",
            by=by,
            workspace_id=member.workspace_id,
            detail={"from": former, "to": wanted},
        )


def require_manager(member: Membership) -> None:
    """Let only the owner and admins go on. Raises ``Forbidden``."""
    if not member.role.can_manage:
        raise Forbidden(f"Only the owner and the admins of {member.workspace.name} may see and change its settings.")


def by_slug(slug: str) -> Workspace:
    """A workspace, whoever asks: for the command line alone. Raises ``NotFound``."""
    workspace = db.session.scalar(sa.select(Workspace).where(Workspace.slug == slug, Workspace.deleted_at.is_(None)))
    if workspace is None:
        raise NotFound(f"There is no workspace with the slug {slug}.")
    return workspace


def everything() -> Sequence[Workspace]:
    """All workspaces, by slug: for the command line alone."""
    return db.session.scalars(sa.select(Workspace).where(Workspace.deleted_at.is_(None)).order_by(Workspace.slug)).all()


def membership(slug: str, user_id: uuid.UUID) -> Membership:
    """The membership by which a person may enter a workspace. Raises ``NotFound``: not yours looks like not there."""
    found = db.session.scalar(
        sa.select(Membership)
        .join(Membership.workspace)
        .where(Workspace.slug == slug, Membership.user_id == user_id)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound("There is no such page.")
    return found


def of_user(user_id: uuid.UUID) -> Sequence[Membership]:
    """The workspaces of a person with the role in each, by name."""
    return db.session.scalars(
        sa.select(Membership)
        .join(Membership.workspace)
        .where(Membership.user_id == user_id)
        .order_by(sa.func.lower(Workspace.name), Workspace.slug)
    ).all()


def members(workspace_id: uuid.UUID) -> Sequence[Membership]:
    """Everybody in a workspace, by name."""
    return db.session.scalars(
        sa.select(Membership)
        .join(Membership.user)
        .where(Membership.workspace_id == workspace_id)
        .order_by(sa.func.lower(User.name), User.email)
    ).all()


def add_member(workspace: Workspace, user: User, role: Role, *, by: Actor) -> None:
    """Let a person in. Raises ``Refused`` (``already_member``); ``Invalid`` for the role owner."""
    if role is Role.OWNER:
        raise Invalid([Fault(("role",), "A workspace has one owner; transfer the ownership instead.")])
    try:
        with write_transaction() as session:
            session.add(Membership(workspace_id=workspace.id, user_id=user.id, role=role, created_at=clock.now()))
            audit.record(
                session, "member.added", user.ref, by=by, workspace_id=workspace.id, detail={"role": role.value}
            )
    except IntegrityError:
        raise Refused("already_member", f"{user.email} is already in {workspace.slug}.") from None


def transfer(workspace: Workspace, to: User, *, by: Actor) -> None:
    """Make a member the owner; who was owner becomes admin. To the owner it changes nothing.

    Raises ``NotFound``, and ``Refused`` (``deactivated``): a workspace must not end up with nobody who can sign in.
    """
    with write_transaction() as session:
        lock_members(session, workspace.id)
        heir = member_in(session, workspace.id, to.id)
        if heir is None:
            raise NotFound(f"{to.email} is not a member of {workspace.slug}; add them first.")
        hand_over(session, heir, by=by)


def lock_members(session: Session, workspace_id: uuid.UUID) -> None:
    """Let nobody else change who is in a workspace, and in which role, until this transaction ends.

    Each change judges the roles as the change before it left them, so that of two at once one is refused.
    """
    session.execute(sa.select(Workspace.id).where(Workspace.id == workspace_id).with_for_update(key_share=True))


def member_in(session: Session, workspace_id: uuid.UUID, user_id: uuid.UUID) -> Membership | None:
    """A membership as it stands in this transaction, which locks it; null where there is none."""
    return session.scalar(
        sa.select(Membership)
        .where(Membership.workspace_id == workspace_id, Membership.user_id == user_id)
        .with_for_update(of=Membership)
        .execution_options(populate_existing=True)
    )


def hand_over(session: Session, heir: Membership, *, by: Actor) -> None:
    """``transfer`` within a transaction that has locked the members."""
    if heir.role is Role.OWNER:
        return
    if heir.user.deactivated_at is not None:
        raise Refused("deactivated", f"The account {heir.user.email} is deactivated and cannot own a workspace.")
    here = Membership.workspace_id == heir.workspace_id
    session.execute(sa.update(Membership).where(here, Membership.role == Role.OWNER).values(role=Role.ADMIN))
    session.execute(sa.update(Membership).where(here, Membership.user_id == heir.user_id).values(role=Role.OWNER))
    audit.record(session, "workspace.transferred", heir.user.ref, by=by, workspace_id=heir.workspace_id)
