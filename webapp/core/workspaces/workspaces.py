"""Keeps workspaces: created, renamed, found by those who belong to them. Loading is the permission."""

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
from webapp.core.bidi import isolate
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from webapp.core.limits import limits
from webapp.core.models import Membership, Role, User, Workspace, new_id
from webapp.core.validation import find_name_faults

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
NAME_LIMIT = 100


# --- read --------------------------------------------------------------------------------------------------------


def get_membership(slug: str, user_id: uuid.UUID) -> Membership:
    """Return the membership by which a person enters a workspace. Raises ``NotFound``:

    not yours looks like not there.
    """
    membership = db.session.scalar(
        sa.select(Membership)
        .join(Membership.workspace)
        .where(Workspace.slug == slug, Membership.user_id == user_id)
        .execution_options(populate_existing=True)
    )
    if membership is None:
        raise NotFound("There is no such page.")
    return membership


def list_memberships(user_id: uuid.UUID) -> Sequence[Membership]:
    """Return the workspaces of a person with the role in each, by name."""
    return db.session.scalars(
        sa.select(Membership)
        .join(Membership.workspace)
        .where(Membership.user_id == user_id)
        .order_by(sa.func.lower(Workspace.name), Workspace.slug)
    ).all()


def get_by_slug_unchecked(slug: str) -> Workspace:
    """Return a workspace, whoever asks: for the command line alone. Raises ``NotFound``."""
    workspace = db.session.scalar(sa.select(Workspace).where(Workspace.slug == slug, Workspace.deleted_at.is_(None)))
    if workspace is None:
        raise NotFound(f"There is no workspace with the slug {slug}.")
    return workspace


def list_all() -> Sequence[Workspace]:
    """Return all workspaces, by slug: for the command line alone."""
    return db.session.scalars(sa.select(Workspace).where(Workspace.deleted_at.is_(None)).order_by(Workspace.slug)).all()


def suggest_slug(name: str) -> str:
    """Return a slug like a name that is free: ``night-shift``, or with some letters behind it where that is taken."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:40].strip("-") or "workspace"
    taken = db.session.scalar(sa.select(Workspace.id).where(Workspace.slug == slug)) is not None
    return f"{slug}-{secrets.token_hex(3)}" if taken else slug


# --- write -------------------------------------------------------------------------------------------------------


def require_manager(member: Membership) -> None:
    """Let only the owner and admins go on. Raises ``Forbidden``."""
    if not member.role.can_manage:
        raise Forbidden(
            f"Only the owner and the admins of {isolate(member.workspace.name)} may see and change its settings."
        )


def create(name: str, slug: str, *, owner: User, by: Actor) -> Workspace:
    """Create a workspace with its owner. Raises ``Invalid``, and ``Conflict`` (``slug_taken``, ``too_many``)."""
    faults = find_name_faults(name, NAME_LIMIT)
    if not SLUG.fullmatch(slug):
        faults.append(Fault(("slug",), "1 to 50 small letters, digits and hyphens, no hyphen at either end."))
    if faults:
        raise Invalid(faults)
    now = clock.now()
    workspace = Workspace(id=new_id(now), name=name.strip(), slug=slug, created_at=now)
    try:
        with write_transaction() as session:
            require_room(session, owner)
            session.add(workspace)
            session.flush()
            session.add(Membership(workspace_id=workspace.id, user_id=owner.id, role=Role.OWNER, created_at=now))
            audit.record(session, "workspace.created", f"workspace:{workspace.id}", by=by, workspace_id=workspace.id)
    except IntegrityError:
        raise Conflict("slug_taken", f"There is already a workspace with the slug {slug}.") from None
    return workspace


def require_room(session: Session, owner: User) -> None:
    """Refuse another workspace to a person who owns as many as they may, and lock the person. Raises ``Conflict``."""
    count = sa.select(sa.func.count()).where(Membership.user_id == owner.id, Membership.role == Role.OWNER)
    limits.require_room(session, limits.of_user(owner.id), limits.WORKSPACES, count)


def rename(member: Membership, name: str, *, by: Actor) -> None:
    """Give a workspace another name; its slug, which is in every address, stays. The name it has changes nothing.

    Raises ``Forbidden`` unless ``member`` may change its settings, and ``Invalid``.
    """
    require_manager(member)
    if faults := find_name_faults(name, NAME_LIMIT):
        raise Invalid(faults)
    new_name, old_name = name.strip(), member.workspace.name
    if new_name == old_name:
        return
    with write_transaction() as session:
        session.execute(sa.update(Workspace).where(Workspace.id == member.workspace_id).values(name=new_name))
        audit.record(
            session,
            "workspace.renamed",
            f"workspace:{member.workspace_id}",
            by=by,
            workspace_id=member.workspace_id,
            detail={"from": old_name, "to": new_name},
        )
