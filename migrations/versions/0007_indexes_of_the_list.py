"""indexes of the list: counts of a type, who created a job, when it failed, since when it runs."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job_runs", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_job_runs_workspace_id_created_by_id"), ["workspace_id", "created_by", "id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_job_runs_workspace_id_created_by_status"),
            ["workspace_id", "created_by", "status"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_job_runs_workspace_id_type_status"), ["workspace_id", "type", "status"], unique=False
        )
        batch_op.create_index(
            "ix_job_runs_failed",
            ["workspace_id", "completed_at"],
            unique=False,
            postgresql_where=sa.text("status = 'failed'"),
            sqlite_where=sa.text("status = 'failed'"),
        )
        batch_op.create_index(
            "ix_job_runs_running",
            ["workspace_id", "started_at", "id"],
            unique=False,
            postgresql_where=sa.text("status = 'running'"),
            sqlite_where=sa.text("status = 'running'"),
        )


def downgrade() -> None:
    with op.batch_alter_table("job_runs", schema=None) as batch_op:
        batch_op.drop_index("ix_job_runs_running")
        batch_op.drop_index("ix_job_runs_failed")
        batch_op.drop_index(batch_op.f("ix_job_runs_workspace_id_type_status"))
        batch_op.drop_index(batch_op.f("ix_job_runs_workspace_id_created_by_status"))
        batch_op.drop_index(batch_op.f("ix_job_runs_workspace_id_created_by_id"))
