"""Who did what: the actor that every verb of the core takes, and the audit log."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.models import ApiToken, AuditEntry, User, new_id
from webapp.extensions import db


@dataclass(frozen=True)
class Actor:
    """Who asks: ``user:<id>``, ``token:<id>`` or ``system``, and from which network address, if from one."""

    ref: str
    address: str | None = None


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
