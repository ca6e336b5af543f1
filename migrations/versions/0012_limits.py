"""limits: what an administrator has set for a workspace or a person, and what was sent in a day."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for owner, table in (("workspace", "workspaces"), ("user", "users")):
        op.create_table(
            f"{owner}_limits",
            sa.Column(f"{owner}_id", sa.Uuid(), nullable=False),
            sa.Column("name", sa.String(length=40), nullable=False),
            sa.Column("value", sa.Integer(), nullable=False),
            sa.ForeignKeyConstraint(
                [f"{owner}_id"], [f"{table}.id"], name=op.f(f"fk_{owner}_limits_{owner}_id"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint(f"{owner}_id", "name", name=op.f(f"pk_{owner}_limits")),
        )
    op.create_table(
        "daily_usage",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_daily_usage_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "day", "name", name=op.f("pk_daily_usage")),
    )


def downgrade() -> None:
    for table in ("daily_usage", "user_limits", "workspace_limits"):
        op.drop_table(table)
