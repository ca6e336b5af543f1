"""Workspaces and who belongs to them, in which role."""

import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core.models.accounts import User
from webapp.core.models.base import Base, partial_index


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"

    @property
    def can_manage(self) -> bool:
        """Whether this role may change the settings of the workspace; the links and the rule read the same words."""
        return self in (Role.OWNER, Role.ADMIN)


class Workspace(Base):
    """The wall between teams: members, tokens, jobs and settings of one workspace are unknown to every other.

    ``deleted_at`` is when its owner deleted it: nobody enters any more, and the chores delete what is left in it.
    """

    __tablename__ = "workspaces"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    slug: Mapped[str] = mapped_column(sa.String(50), unique=True)
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class WorkspaceOrigin(Base):
    """A web site whose pages may call the API with a token of a workspace, like ``https://app.example.com``."""

    __tablename__ = "workspace_origins"

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    origin: Mapped[str] = mapped_column(sa.String(270), primary_key=True, index=True)


class Membership(Base):
    """One person in one workspace. The database itself holds that a workspace has at most one owner."""

    __tablename__ = "memberships"
    __table_args__ = (partial_index("uq_memberships_one_owner", "workspace_id", unique=True, where="role = 'owner'"),)

    workspace_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[Role] = mapped_column(
        sa.Enum(Role, native_enum=False, length=10, values_callable=lambda roles: [role.value for role in roles])
    )
    created_at: Mapped[datetime]

    workspace: Mapped[Workspace] = relationship(lazy="joined", innerjoin=True)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    # The table of roles: what this member may do to another of the same workspace. Buttons and verbs read it alike.

    def may_remove(self, other: "Membership") -> bool:
        """Whether to put the other out; nobody removes themselves, they leave."""
        if other.user_id == self.user_id or other.role is Role.OWNER:
            return False
        return self.role is Role.OWNER or (self.role is Role.ADMIN and other.role is Role.MEMBER)

    def may_make_admin(self, other: "Membership") -> bool:
        return self.role.can_manage and other.role is Role.MEMBER

    def may_make_member(self, other: "Membership") -> bool:
        return self.role is Role.OWNER and other.role is Role.ADMIN

    def may_transfer_to(self, other: "Membership") -> bool:
        return self.role is Role.OWNER and other.role is not Role.OWNER

    @property
    def may_leave(self) -> bool:
        return self.role is not Role.OWNER

    @property
    def may_delete(self) -> bool:
        """Whether to delete the workspace."""
        return self.role is Role.OWNER


class Invitation(Base):
    """A link that lets the person of one address in, once, for some days; of its secret only the SHA-256 is stored.

    ``mailed_at`` is set if the link goes to its address by mail and is shown to nobody, so that whoever opens it reads
    that mail. It is good as long as the person ``sponsor_id`` may invite; ``None`` is the administrator.
    """

    __tablename__ = "invitations"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(sa.String(254))
    role: Mapped[Role] = mapped_column(
        sa.Enum(Role, native_enum=False, length=10, values_callable=lambda roles: [role.value for role in roles])
    )
    created_by: Mapped[str] = mapped_column(sa.String(60))
    sponsor_id: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    mailed_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    workspace: Mapped[Workspace] = relationship(lazy="joined", innerjoin=True)
