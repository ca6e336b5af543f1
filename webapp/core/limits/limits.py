"""Keeps how many of everything a workspace and a person may have: defaults here, what an administrator set in a table.

Whoever takes a place has locked its owner before counting, so that of two who want the last one is refused.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import upsert
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Fault, Invalid
from webapp.core.models import User, Workspace, user_limits, workspace_limits

MAX_VALUE = 2**31 - 1
DAY = timedelta(days=1)
"""The time in which as many things may be created as a limit of a day allows."""


@dataclass(frozen=True)
class Limit:
    """How many there may be unless an administrator says otherwise; ``refusal`` is a sentence with that number."""

    name: str
    default: int
    refusal: str


MEMBERS = Limit("members", 500, "A workspace has at most {} members; remove one first.")
INVITATIONS = Limit("invitations", 100, "A workspace has at most {} open invitations; revoke one first.")
TOKENS = Limit("tokens", 100, "A workspace has at most {} tokens; revoke one first.")
NEW_INVITATIONS = Limit(
    "invitations-per-day", 500, "A workspace creates at most {} invitations in 24 hours; try again later."
)
NEW_TOKENS = Limit("tokens-per-day", 500, "A workspace creates at most {} tokens in 24 hours; try again later.")
"""What ends stays stored, because jobs and the audit log name it: these bound how fast that grows."""
WEBHOOKS = Limit("webhooks", 20, "A workspace has at most {} webhooks; delete one first.")
TIME_LIMITS = Limit("time-limits", 200, "A workspace has time limits for at most {} types; remove those of one first.")
PAYLOAD_SIZE = Limit("payload-mib-per-day", 4096, "This workspace may send {} MiB of payloads and results a day.")
LOG_SIZE = Limit("log-mib-per-day", 4096, "This workspace may send {} MiB of log lines a day.")
WORKSPACES = Limit("workspaces", 20, "A person owns at most {} workspaces; transfer or delete one first.")
SESSIONS = Limit("sessions", 50, "A person is signed in in at most {} browsers.")

OF_WORKSPACE = (
    MEMBERS, INVITATIONS, NEW_INVITATIONS, TOKENS, NEW_TOKENS, WEBHOOKS, TIME_LIMITS, PAYLOAD_SIZE, LOG_SIZE,
)  # fmt: skip
OF_USER = (WORKSPACES, SESSIONS)


@dataclass(frozen=True)
class Owner:
    """A workspace or a person, as the one whose limits are meant."""

    id: uuid.UUID
    kind: str
    row: type[Workspace] | type[User]
    limits: Sequence[Limit]
    overrides: sa.Table

    @property
    def key(self) -> dict[str, uuid.UUID]:
        """Return the column of ``overrides`` that names the owner, with its value."""
        return {f"{self.kind}_id": self.id}

    @property
    def is_theirs(self) -> sa.ColumnElement[bool]:
        """Return in SQL whether a row of ``overrides`` is the owner's."""
        return sa.and_(*(self.overrides.c[name] == value for name, value in self.key.items()))


def of_workspace(workspace_id: uuid.UUID) -> Owner:
    """Return a workspace as an owner of limits."""
    return Owner(workspace_id, "workspace", Workspace, OF_WORKSPACE, workspace_limits)


def of_user(user_id: uuid.UUID) -> Owner:
    """Return a person as an owner of limits."""
    return Owner(user_id, "user", User, OF_USER, user_limits)


# --- read and take -----------------------------------------------------------------------------------------------


class CurrentLimit(NamedTuple):
    """A limit of an owner as it is now, and whether that is the default."""

    name: str
    value: int
    is_default: bool


def list_limits(owner: Owner) -> Sequence[CurrentLimit]:
    """Return every limit of an owner."""
    columns = owner.overrides.c
    rows = db.session.execute(sa.select(columns.name, columns.value).where(owner.is_theirs))
    overrides = {row.name: row.value for row in rows}
    return [
        CurrentLimit(limit.name, overrides.get(limit.name, limit.default), limit.name not in overrides)
        for limit in owner.limits
    ]


def get_limit(session: Session, owner: Owner, limit: Limit) -> int:
    """Return how many of something an owner may have."""
    is_set = owner.is_theirs, owner.overrides.c.name == limit.name
    value = session.scalar(sa.select(owner.overrides.c.value).where(*is_set))
    return limit.default if value is None else int(value)


def require_room(session: Session, owner: Owner, limit: Limit, taken: "sa.Select[Any]") -> None:
    """Refuse if an owner has as many of something as it may, which ``taken`` counts. Raises ``Conflict``, ``too_many``.

    The owner is locked until the transaction ends: nobody else takes the place meanwhile.
    """
    lock(session, owner)
    most = get_limit(session, owner, limit)
    if (session.scalar(taken) or 0) >= most:
        raise Conflict("too_many", limit.refusal.format(most))


def lock(session: Session, owner: Owner) -> None:
    """Let nobody else take what an owner may have so many of until the transaction ends."""
    session.execute(sa.select(owner.row.id).where(owner.row.id == owner.id).with_for_update(key_share=True))


# --- set ---------------------------------------------------------------------------------------------------------


def set_limit(owner: Owner, name: str, value: int | None, *, by: Actor) -> None:
    """Set a limit of an owner, ``None`` to the default, whoever asks: for the command line alone. Raises ``Invalid``.

    What is over a limit that is lowered stays; nothing more is added.
    """
    faults = []
    if name not in {limit.name for limit in owner.limits}:
        names = ", ".join(limit.name for limit in owner.limits)
        faults.append(Fault(("name",), f"One of {names}."))
    if value is not None and not 0 <= value <= MAX_VALUE:
        faults.append(Fault(("value",), f"A whole number from 0 to {MAX_VALUE}, or default."))
    if faults:
        raise Invalid(faults)
    key = owner.key | {"name": name}
    with write_transaction() as session:
        if value is None:
            session.execute(sa.delete(owner.overrides).where(owner.is_theirs, owner.overrides.c.name == name))
        else:
            session.execute(upsert(owner.overrides, key, {"value": value}))
        workspace_id = owner.id if owner.kind == "workspace" else None
        detail = {"limit": name, "value": value}
        ref = f"{owner.kind}:{owner.id}"
        audit.record(session, f"{owner.kind}.limit_set", ref, by=by, workspace_id=workspace_id, detail=detail)
