"""Who did what: the actor that every verb of the core takes, and the audit log."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.database.session import db
from webapp.core.models import ApiToken, AuditEntry, User, first_id, new_id


@dataclass(frozen=True)
class Actor:
    """Who asks: ``user:<id>``, ``token:<id>`` or ``system``, and from which network address, if from one."""

    ref: str
    address: str | None = None

    @property
    def kind(self) -> str:
        """``user``, ``token`` or ``system``."""
        return self.ref.partition(":")[0]


SYSTEM = Actor("system")
ADDRESS_LIMIT = 64
"""Characters kept of a network address; behind a careless proxy a client may send anything for one."""


def record(
    session: Session,
    action: str,
    resource: str,
    *,
    by: Actor,
    workspace_id: uuid.UUID | None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write one line into the audit log, in the transaction of the act itself.

    ``action`` is ``noun.verb`` (``job.canceled``), ``resource`` is ``noun:<id>``.
    """
    at = clock.now()
    session.add(
        AuditEntry(
            id=new_id(at),
            workspace_id=workspace_id,
            at=at,
            actor=by.ref,
            action=action,
            resource=resource,
            address=by.address[:ADDRESS_LIMIT] if by.address else None,
            detail=detail,
        )
    )


def names(refs: Iterable[str | None]) -> Mapping[str, str]:
    """The names that people know the given actors by; an actor that is gone is told by its kind alone."""
    asked = {ref for ref in refs if ref}
    found = dict.fromkeys(asked, "somebody who is gone") | {"system": "the board"}
    for kind, model in (("user", User), ("token", ApiToken)):
        if ids := list(_ids(kind, asked)):
            rows = db.session.execute(sa.select(model.id, model.name).where(model.id.in_(ids)))
            found |= {f"{kind}:{id}": name for id, name in rows}
    return found


def _ids(kind: str, refs: Iterable[str]) -> Iterator[uuid.UUID]:
    for ref in refs:
        # A reference of any other make names nobody we know.
        with suppress(ValueError):
            if ref.startswith(f"{kind}:"):
                yield uuid.UUID(ref.removeprefix(f"{kind}:"))


# --- reading -----------------------------------------------------------------------------------------------------

RECENT = 10_000
"""Of the newest so many lines the choices of the filters are gathered: an index walk of a bounded length."""


@dataclass(frozen=True)
class AuditFilter:
    """Which lines are wanted; what is null leaves all. ``since`` is the first moment, ``until`` the first no more."""

    action: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class AuditPage:
    """Some lines, newest first; ``next_cursor`` leads to the older ones, null when there are none."""

    entries: Sequence[AuditEntry]
    next_cursor: uuid.UUID | None


def one_page(workspace_id: uuid.UUID, wanted: AuditFilter, *, before: uuid.UUID | None = None, limit: int) -> AuditPage:
    """The audit log of a workspace: the newest lines that match, or those older than the line ``before``."""
    query = sa.select(AuditEntry).where(AuditEntry.workspace_id == workspace_id)
    if wanted.action:
        query = query.where(AuditEntry.action == wanted.action)
    if wanted.actor:
        query = query.where(AuditEntry.actor == wanted.actor)
    # Ids sort as their moments do, and they are what the index holds.
    if wanted.since:
        query = query.where(AuditEntry.id >= first_id(wanted.since))
    if wanted.until:
        query = query.where(AuditEntry.id < first_id(wanted.until))
    if before:
        query = query.where(AuditEntry.id < before)
    found = db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit + 1)).all()
    more = len(found) > limit
    return AuditPage(found[:limit], found[limit - 1].id if more else None)


def seen(workspace_id: uuid.UUID) -> tuple[Sequence[str], Sequence[str]]:
    """The actions and the actors of the newest ``RECENT`` lines of a workspace, each once."""
    newest = (
        sa.select(AuditEntry.action, AuditEntry.actor)
        .where(AuditEntry.workspace_id == workspace_id)
        .order_by(AuditEntry.id.desc())
        .limit(RECENT)
        .subquery()
    )
    pairs = db.session.execute(sa.select(newest.c.action, newest.c.actor).distinct()).all()
    return sorted({pair.action for pair in pairs}), sorted({pair.actor for pair in pairs})
