"""runs beside a job."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COMPLETED = sa.text("completed_at IS NOT NULL AND failure_reason IS NULL")
HAS_PARENT = sa.text("parent_id IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_job_runs_completed",
        "job_runs",
        ["workspace_id", "type", "id", "started_at", "completed_at", "failure_reason"],
        postgresql_where=COMPLETED,
        sqlite_where=COMPLETED,
    )
    op.drop_index("ix_job_runs_parent_id", table_name="job_runs")
    op.create_index(
        "ix_job_runs_parent_id",
        "job_runs",
        ["parent_id", "id"],
        postgresql_where=HAS_PARENT,
        sqlite_where=HAS_PARENT,
    )


def downgrade() -> None:
    op.drop_index("ix_job_runs_parent_id", table_name="job_runs")
    op.create_index(
        "ix_job_runs_parent_id", "job_runs", ["parent_id"], postgresql_where=HAS_PARENT, sqlite_where=HAS_PARENT
    )
    op.drop_index("ix_job_runs_completed", table_name="job_runs")
