"""API tokens: what a runner shows at the door."""

import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class Scope(StrEnum):
    """What a token may do with the jobs of its workspace."""

    READ = "jobs:read"
    WRITE = "jobs:write"
    CANCEL = "jobs:cancel"


class TokenStatus(StrEnum):
    """Whether a token is accepted."""

    GOOD = "good"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiToken(Base):
    """A key to one workspace, ``cb_<public id>_<secret>``; of the secret only its SHA-256 is stored.

    The secret ends with a checksum of eight digits; that of a token from before it had one is shorter.
    It is accepted as long as the person ``sponsor_id`` may create tokens; ``None`` is the administrator.
    """

    __tablename__ = "api_tokens"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(16), unique=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64))
    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    scopes: Mapped[list[str]]
    created_by: Mapped[str] = mapped_column(sa.String(60))
    sponsor_id: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    @property
    def ref(self) -> str:
        """How records name this token: ``token:<id>``."""
        return f"token:{self.id}"

    @property
    def sponsor_ref(self) -> str | None:
        """How records name the person by whose right it counts; ``None`` is the administrator."""
        return f"user:{self.sponsor_id}" if self.sponsor_id else None

    def status(self, at: datetime) -> TokenStatus:
        """Return whether the token is accepted at that moment."""
        if self.revoked_at is not None:
            return TokenStatus.REVOKED
        return TokenStatus.EXPIRED if self.expires_at is not None and self.expires_at <= at else TokenStatus.GOOD


api_tokens = table_of(ApiToken)
