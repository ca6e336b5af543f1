"""overview: what ended when, and which failures are the same."""

import sqlalchemy as sa
from alembic import op

from webapp.core.jobs import error_groups

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JOBS = sa.table(
    "job_runs",
    sa.column("id", sa.Uuid()),
    sa.column("type", sa.String()),
    sa.column("status", sa.String()),
    sa.column("error", sa.Text()),
    sa.column("error_group", sa.String()),
)
BATCH = 500
"""Jobs held at a time: their errors may have 64 KiB each."""

INDEXES = {
    "ix_job_runs_failed": (["workspace_id", "completed_at", "error_group"], "failed"),
    "ix_job_runs_alike": (["workspace_id", "error_group", "id", "completed_at"], "failed"),
    "ix_job_runs_canceled": (["workspace_id", "canceled_at"], "canceled"),
    "ix_job_runs_done": (["workspace_id", "completed_at", "type", "started_at"], "completed"),
}


def upgrade() -> None:
    op.add_column("job_runs", sa.Column("error_group", sa.String(16)))
    mark_failed_jobs()
    op.drop_index("ix_job_runs_failed", table_name="job_runs")
    for name, (columns, status) in INDEXES.items():
        create_index(name, columns, status)


def mark_failed_jobs() -> None:
    """Give the jobs that failed before their marks: the same that this program gives to those that fail from now on."""
    connection = op.get_bind()
    job = JOBS.c
    failed = sa.select(job.id, job.type, job.error).where(job.status == "failed").order_by(job.id).limit(BATCH)
    write = sa.update(JOBS).where(job.id == sa.bindparam("key")).values(error_group=sa.bindparam("mark"))
    rows = connection.execute(failed).all()
    while rows:
        marks = [{"key": row.id, "mark": error_groups.make_fingerprint(row.type, row.error)} for row in rows]
        connection.execute(write, marks)
        rows = connection.execute(failed.where(job.id > rows[-1].id)).all()


def create_index(name: str, columns: list[str], status: str) -> None:
    where = sa.text(f"status = '{status}'")
    op.create_index(name, "job_runs", columns, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, table_name="job_runs")
    op.drop_column("job_runs", "error_group")
    create_index("ix_job_runs_failed", ["workspace_id", "completed_at"], "failed")
