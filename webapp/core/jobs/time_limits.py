"""Keeps the time limits that a workspace gives its jobs: of one type, or of every type.

A runner's own limits always come first. These are read once, when a job is enqueued, and stand on the job from then on:
a change is for the jobs that come.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import audit
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import upsert
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs.inputs import Limits
from webapp.core.limits import limits
from webapp.core.models import Membership, TimeLimits, time_limits
from webapp.core.workspaces.workspaces import require_manager

COLUMNS = ("heartbeat_timeout", "max_duration")
EVERY_TYPE = ""


def list_limits(workspace_id: uuid.UUID) -> Sequence[TimeLimits]:
    """Return the limits of a workspace, those of every type first, then by type."""
    return db.session.scalars(
        sa.select(TimeLimits)
        .where(TimeLimits.workspace_id == workspace_id)
        .order_by(TimeLimits.type)
        .execution_options(populate_existing=True)
    ).all()


def select_count(workspace_id: uuid.UUID) -> sa.Select[int]:
    """Return the statement that counts the types of a workspace with limits of their own."""
    is_of_type = time_limits.c.workspace_id == workspace_id, time_limits.c.type != EVERY_TYPE
    return sa.select(sa.func.count()).where(*is_of_type)


def set_limits(member: Membership, new: Limits, *, by: Actor) -> None:
    """Set the limits of one type, or of every type, in place of those it had; neither of the two removes them.

    Raises ``Forbidden`` unless ``member`` may change the settings, and ``Conflict`` (``too_many``).
    """
    require_manager(member)
    key = {"workspace_id": member.workspace_id, "type": new.type or EVERY_TYPE}
    seconds = {name: getattr(new, name) for name in COLUMNS}
    with write_transaction() as session:
        if any(seconds.values()):
            _require_room(session, key)
            session.execute(upsert(time_limits, key, seconds))
        elif not session.execute(_delete(key).returning(time_limits.c.type)).first():
            return
        audit.record(
            session,
            "time_limits.set" if any(seconds.values()) else "time_limits.removed",
            f"workspace:{member.workspace_id}",
            by=by,
            workspace_id=member.workspace_id,
            detail={"type": new.type} | seconds,
        )


def delete_limits(member: Membership, type: str | None, *, by: Actor) -> None:
    """Delete the limits of one type (``None``: of every type); where there are none it changes nothing.

    Raises as ``set_limits`` does, and ``Invalid``.
    """
    set_limits(member, Limits.parse({"type": type or None}), by=by)


def _require_room(session: Session, key: dict[str, Any]) -> None:
    """Refuse limits of one type more where a workspace has as many as it may. Raises ``Conflict``."""
    others = select_count(key["workspace_id"]).where(time_limits.c.type != key["type"])
    if key["type"] != EVERY_TYPE:
        limits.require_room(session, limits.of_workspace(key["workspace_id"]), limits.TIME_LIMITS, others)


def _delete(key: dict[str, Any]) -> sa.Delete:
    return sa.delete(time_limits).where(*(time_limits.c[name] == value for name, value in key.items()))


def default_of(column: str, workspace_id: sa.BindParameter[Any], type: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
    """Return in SQL what a job without its own limit gets: that of its type, else that of every type, else null.

    ``column`` is one of ``COLUMNS``.
    """

    def limit_of(type: object) -> sa.ScalarSelect[Any]:
        of_type = time_limits.c.workspace_id == workspace_id, time_limits.c.type == type
        return sa.select(time_limits.c[column]).where(*of_type).scalar_subquery()

    return sa.func.coalesce(limit_of(type), limit_of(EVERY_TYPE))
