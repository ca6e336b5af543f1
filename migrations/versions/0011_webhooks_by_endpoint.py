"""webhooks by endpoint: what is due is found for each endpoint by itself, however long the queue of another is."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

IS_DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["endpoint_id", "due_at", "id"],
        postgresql_where=IS_DUE,
        sqlite_where=IS_DUE,
    )
    op.drop_index("ix_webhook_deliveries_due_at", "webhook_deliveries")


def downgrade() -> None:
    op.create_index(
        "ix_webhook_deliveries_due_at",
        "webhook_deliveries",
        ["due_at"],
        postgresql_where=IS_DUE,
        sqlite_where=IS_DUE,
    )
    op.drop_index("ix_webhook_deliveries_due", "webhook_deliveries")
