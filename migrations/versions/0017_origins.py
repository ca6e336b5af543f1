"""origins: the web sites whose pages may call the API with a token of a workspace."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workspace_origins",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("origin", sa.String(length=270), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_workspace_origins_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "origin", name=op.f("pk_workspace_origins")),
    )
    op.create_index(op.f("ix_workspace_origins_origin"), "workspace_origins", ["origin"])


def downgrade() -> None:
    op.drop_table("workspace_origins")
