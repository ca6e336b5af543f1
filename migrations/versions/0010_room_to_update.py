"""room to update: on PostgreSQL a report of progress writes no index, and large tables are tidied sooner."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TIDIED_SOONER = {"autovacuum_vacuum_scale_factor": 0.02, "autovacuum_analyze_scale_factor": 0.02}
"""By PostgreSQL's own measure a table of ten million rows is tidied after two million have gone."""
SETTINGS = {"job_runs": {"fillfactor": 85} | TIDIED_SOONER, "job_tags": TIDIED_SOONER, "job_events": TIDIED_SOONER}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, settings in SETTINGS.items():
            values = ", ".join(f"{name} = {value}" for name, value in settings.items())
            op.execute(f"ALTER TABLE {table} SET ({values})")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, settings in SETTINGS.items():
            op.execute(f"ALTER TABLE {table} RESET ({', '.join(settings)})")
