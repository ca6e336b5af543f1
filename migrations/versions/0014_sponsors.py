"""sponsors: by whose right a token, a webhook and an invitation counts."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = ("api_tokens", "webhook_endpoints", "invitations")
_MEMBERSHIPS = sa.table(
    "memberships", sa.column("workspace_id", sa.Uuid()), sa.column("user_id", sa.Uuid()), sa.column("role", sa.Text())
)
_USERS = sa.table("users", sa.column("id", sa.Uuid()), sa.column("deactivated_at"))


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("sponsor_id", sa.Uuid(), nullable=True))
    connection = op.get_bind()
    managers = _list_managers(connection)
    for table in TABLES:
        _set_sponsors(connection, table, managers)


def _list_managers(connection: sa.Connection) -> dict[tuple[uuid.UUID, uuid.UUID], str]:
    """Return the role of each owner and admin whose account is not closed, by workspace and person."""
    query = (
        sa.select(_MEMBERSHIPS.c.workspace_id, _MEMBERSHIPS.c.user_id, _MEMBERSHIPS.c.role)
        .join(_USERS, _USERS.c.id == _MEMBERSHIPS.c.user_id)
        .where(_MEMBERSHIPS.c.role != "member", _USERS.c.deactivated_at.is_(None))
    )
    return {(row.workspace_id, row.user_id): row.role for row in connection.execute(query)}


def _set_sponsors(connection: sa.Connection, name: str, managers: dict[tuple[uuid.UUID, uuid.UUID], str]) -> None:
    """Let whoever created a thing stand for it.

    Tokens and webhooks whose maker has left went on working until now, and runners depend on them: the owner of the
    workspace stands for these. An open invitation of somebody who may invite no longer ends.
    """
    owners = {workspace_id: user_id for (workspace_id, user_id), role in managers.items() if role == "owner"}
    table = sa.table(
        name,
        sa.column("id", sa.Uuid()),
        sa.column("workspace_id", sa.Uuid()),
        sa.column("created_by", sa.Text()),
        sa.column("sponsor_id", sa.Uuid()),
    )
    rows = []
    for row in connection.execute(sa.select(table.c.id, table.c.workspace_id, table.c.created_by)).all():
        kind, _, user_id = row.created_by.partition(":")
        if kind != "user":
            continue
        sponsor_id: uuid.UUID | None = uuid.UUID(user_id)
        if name != "invitations" and (row.workspace_id, sponsor_id) not in managers:
            sponsor_id = owners.get(row.workspace_id)
        rows.append({"row_id": row.id, "new_sponsor_id": sponsor_id})
    if rows:
        update = sa.update(table).where(table.c.id == sa.bindparam("row_id"))
        connection.execute(update.values(sponsor_id=sa.bindparam("new_sponsor_id")), rows)


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "sponsor_id")
