"""verified addresses: who has shown that an e-mail address is theirs, and how much mail went out."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_USERS = sa.table(
    "users", sa.column("id", sa.Uuid()), sa.column("created_at"), sa.column("email_verified_at", sa.DateTime(True))
)
_AUDIT_LOG = sa.table("audit_log", sa.column("action"), sa.column("actor"), sa.column("resource"))


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("invitations", sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "mail_counts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=254), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", "key", name=op.f("pk_mail_counts")),
    )
    _verify_accounts_of_the_administrator()


def _verify_accounts_of_the_administrator() -> None:
    """Mark the accounts that the administrator created; those of invitations had only a link that was shown."""
    connection = op.get_bind()
    created = sa.select(_AUDIT_LOG.c.resource).where(
        _AUDIT_LOG.c.action == "user.created", _AUDIT_LOG.c.actor == "system"
    )
    ids = [uuid.UUID(resource.removeprefix("user:")) for resource in connection.scalars(created)]
    if ids:
        update = sa.update(_USERS).where(_USERS.c.id == sa.bindparam("user_id"))
        rows = [{"user_id": user_id} for user_id in ids]
        connection.execute(update.values(email_verified_at=_USERS.c.created_at), rows)


def downgrade() -> None:
    op.drop_table("mail_counts")
    op.drop_column("invitations", "mailed_at")
    op.drop_column("users", "email_verified_at")
