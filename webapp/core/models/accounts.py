"""The people who sign in, their sessions, and their attempts to sign in."""

import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core.models.base import Base, one_of


class User(Base):
    """A person. ``email`` is kept in lower case; a deactivated user cannot sign in and has no sessions.

    ``email_verified_at`` is when it was known that the address is theirs: they opened a link that had gone there by
    mail and to nobody else, or the administrator gave their word for it.
    """

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]
    email_verified_at: Mapped[datetime | None]
    deactivated_at: Mapped[datetime | None]
    last_workspace_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="SET NULL"))

    @property
    def ref(self) -> str:
        """How records name this person: ``user:<id>``."""
        return f"user:{self.id}"


class BrowserSession(Base):
    """One signed-in browser. The secret in its cookie is stored hashed; without this row it is worth nothing.

    ``confirmed_at`` is when the password was last typed in it.
    """

    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    address: Mapped[str | None] = mapped_column(sa.String(64))
    user_agent: Mapped[str | None] = mapped_column(sa.String(300))

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class LoginFailure(Base):
    """One attempt to sign in that was not right, or is being checked: counted for a while, and then swept.

    ``email`` is what was typed, in lower case. ``network`` is what the address counts as; ``browser`` is set where the
    attempt is counted for that browser alone, because somebody has signed in to the account there before.
    """

    __tablename__ = "login_failures"
    __table_args__ = (sa.Index(None, "email", "at"), sa.Index(None, "network", "at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254))
    address: Mapped[str] = mapped_column(sa.String(64))
    network: Mapped[str | None] = mapped_column(sa.String(64))
    browser: Mapped[str | None] = mapped_column(sa.String(64))
    at: Mapped[datetime] = mapped_column(index=True)


class PasswordReset(Base):
    """A link by which the password of an account may be set once. Its secret is stored hashed.

    Where there is no account for ``email`` the row is there to be counted, and ``user_id`` is ``None``.
    """

    __tablename__ = "password_resets"
    __table_args__ = (sa.Index(None, "email", "created_at"), sa.Index(None, "network", "created_at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254))
    user_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    network: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInOutcome(StrEnum):
    """What came of an attempt to sign in: it was right, it was wrong, or there had been too many to look at it."""

    SIGNED_IN = "signed_in"
    FAILED = "failed"
    BLOCKED = "blocked"


class SignIn(Base):
    """One attempt to sign in to an account, for its owner to look through; kept for 90 days."""

    __tablename__ = "sign_ins"
    __table_args__ = (sa.Index(None, "user_id", "id"), sa.Index(None, "user_id", "network"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    outcome: Mapped[SignInOutcome] = mapped_column(one_of(SignInOutcome, "outcome"))
    address: Mapped[str] = mapped_column(sa.String(64))
    network: Mapped[str] = mapped_column(sa.String(64))
    user_agent: Mapped[str | None] = mapped_column(sa.String(300))
