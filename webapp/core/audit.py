"""Records who did what: the actor that every verb of the core takes, and the audit log."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.database.paging import split_page
from webapp.core.database.session import db
from webapp.core.models import ApiToken, AuditEntry, User, first_id, new_id


@dataclass(frozen=True)
class Actor:
    """Who asks: ``user:<id>``, ``token:<id>`` or ``system``, and from which network address, if from one."""

    ref: str
    address: str | None = None

    @property
    def kind(self) -> str:
        """Return ``user``, ``token`` or ``system``."""
        return self.ref.partition(":")[0]


DETAIL_REFS = frozenset({"created_by", "invited_by", "sponsor"})
"""The keys of a detail whose values name an actor. Whatever else is in a detail somebody may have written."""

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


def get_names(refs: Iterable[str | None]) -> Mapping[str, str]:
    """Return the names that people know these actors by; one that is gone has a name for all such.

    They are looked up over all workspaces: only for refs that records of the reader's own workspace hold, never for
    what an address or a text says.
    """
    unique_refs = {ref for ref in refs if ref}
    names = dict.fromkeys(unique_refs, "somebody who is gone") | {"system": "the board"}
    for kind, model in (("user", User), ("token", ApiToken)):
        if ids := list(_parse_ids(kind, unique_refs)):
            rows = db.session.execute(sa.select(model.id, model.name).where(model.id.in_(ids)))
            names |= {f"{kind}:{id}": name for id, name in rows}
    return names


def _parse_ids(kind: str, refs: Iterable[str]) -> Iterator[uuid.UUID]:
    for ref in refs:
        # A reference of any other make names nobody we know.
        with suppress(ValueError):
            if ref.startswith(f"{kind}:"):
                yield uuid.UUID(ref.removeprefix(f"{kind}:"))


# --- read --------------------------------------------------------------------------------------------------------

RECENT = 10_000
"""Lines, the newest, from which the choices of the filters are gathered: an index walk of a bounded length."""


@dataclass(frozen=True)
class AuditFilter:
    """Which lines to show; ``None`` leaves all. ``since`` is the first time, ``until`` the first after the last."""

    action: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class AuditPage:
    """Some lines, newest first; ``next_cursor`` leads to the older ones, ``None`` when there are none."""

    entries: Sequence[AuditEntry]
    next_cursor: uuid.UUID | None


def list_entries(
    workspace_id: uuid.UUID, audit_filter: AuditFilter, *, before: uuid.UUID | None = None, limit: int
) -> AuditPage:
    """Return the audit log of a workspace: the newest lines that match, or those older than the line ``before``."""
    query = sa.select(AuditEntry).where(AuditEntry.workspace_id == workspace_id)
    if audit_filter.action:
        query = query.where(AuditEntry.action == audit_filter.action)
    if audit_filter.actor:
        query = query.where(AuditEntry.actor == audit_filter.actor)
    # Ids sort as their times do, and they are what the index holds.
    if audit_filter.since:
        query = query.where(AuditEntry.id >= first_id(audit_filter.since))
    if audit_filter.until:
        query = query.where(AuditEntry.id < first_id(audit_filter.until))
    if before:
        query = query.where(AuditEntry.id < before)
    rows = db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit + 1)).all()
    entries, has_more = split_page(rows, limit)
    return AuditPage(entries, entries[-1].id if has_more else None)


def list_choices(workspace_id: uuid.UUID) -> tuple[Sequence[str], Sequence[str]]:
    """Return the actions and the actors of the newest ``RECENT`` lines of a workspace, each once."""
    newest = (
        sa.select(AuditEntry.action, AuditEntry.actor)
        .where(AuditEntry.workspace_id == workspace_id)
        .order_by(AuditEntry.id.desc())
        .limit(RECENT)
        .subquery()
    )
    pairs = db.session.execute(sa.select(newest.c.action, newest.c.actor).distinct()).all()
    return sorted({pair.action for pair in pairs}), sorted({pair.actor for pair in pairs})
