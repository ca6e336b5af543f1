"""Time limits that a workspace gives its jobs: of one type, or of every type. A runner's own always come first.

They are read once, when a job is enqueued, and stand on the job from then on: a change is for the jobs that come.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from webapp.core import audit
from webapp.core.audit import Actor
from webapp.core.database.session import db
from webapp.core.database.statements import upsert
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs.inputs import Limits
from webapp.core.models import Base, Membership, TimeLimits
from webapp.core.workspaces.workspaces import require_manager

COLUMNS = ("heartbeat_timeout", "max_duration")
EVERY_TYPE = ""

_LIMITS = Base.metadata.tables[TimeLimits.__tablename__]


def of_workspace(workspace_id: uuid.UUID) -> Sequence[TimeLimits]:
    """The limits of a workspace, those of every type first, then by type."""
    return db.session.scalars(
        sa.select(TimeLimits)
        .where(TimeLimits.workspace_id == workspace_id)
        .order_by(TimeLimits.type)
        .execution_options(populate_existing=True)
    ).all()


def put(member: Membership, wanted: Limits, *, by: Actor) -> None:
    """Set the limits of one type, or of every type, in place of those it had; neither of the two removes them.

    Raises ``Forbidden`` unless ``member`` may change the settings.
    """
    require_manager(member)
    key = {"workspace_id": member.workspace_id, "type": wanted.type or EVERY_TYPE}
    seconds = {name: getattr(wanted, name) for name in COLUMNS}
    with write_transaction() as session:
        if any(seconds.values()):
            session.execute(upsert(_LIMITS, key, seconds))
        elif not session.execute(_delete(key).returning(_LIMITS.c.type)).first():
            return
        audit.record(
            session,
            "time_limits.set" if any(seconds.values()) else "time_limits.removed",
            f"workspace:{member.workspace_id}",
            by=by,
            workspace_id=member.workspace_id,
            detail={"type": wanted.type} | seconds,
        )


def remove(member: Membership, type: str | None, *, by: Actor) -> None:
    """Take back the limits of one type (null: of every type); where there are none it changes nothing.

    Raises as ``put`` does, and ``Invalid``.
    """
    put(member, Limits.checked({"type": type or None}), by=by)


def _delete(key: dict[str, Any]) -> sa.Delete:
    return sa.delete(_LIMITS).where(*(_LIMITS.c[name] == value for name, value in key.items()))


def default_of(column: str, workspace_id: sa.BindParameter[Any], type: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
    """What a job without its own limit gets, as an expression: that of its type, else that of every type, else null.

    ``column`` is one of ``COLUMNS``.
    """

    def limit_of(type: object) -> sa.ScalarSelect[Any]:
        mine = _LIMITS.c.workspace_id == workspace_id, _LIMITS.c.type == type
        return sa.select(_LIMITS.c[column]).where(*mine).scalar_subquery()

    return sa.func.coalesce(limit_of(type), limit_of(EVERY_TYPE))
