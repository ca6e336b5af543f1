"""overview: what ended when, and which failures are the same."""

import hashlib
import re

import sqlalchemy as sa
from alembic import op

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

PLACEHOLDER = "…"
"""Stands where something was that differs from run to run."""
LINE_LIMIT = 1_000
"""Characters of an error's telling line that are read."""
PATTERN_LIMIT = 300
"""Characters of a pattern that count."""
VARYING = re.compile(
    r"""
      # What says which error it was stays: "status code 502", "exit code 137", "[Errno 28]".
      (?P<kept> \b (?:errno|code|status|http|exit|signal) [\s:=#]{0,2} \d{1,3} (?![\w.]) )
    | (?<!\w) (?P<quote>["'`]) (?: (?! (?P=quote) (?!\w) ) . )* (?P=quote)
    | https?:// [^\s"'<>)\]]+
    | (?<![\w.+-]) [\w.+-]{1,64} @ [\w-]+ (?:\.[\w-]+)+
    | (?<![\w…]) (?:[A-Za-z]:)? (?:[\\/] [\w.@%+~-]+){2,} [\\/]?
    | (?<![^\W_]) [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12} (?![^\W_])
    | \d{4}-\d\d-\d\d (?: [T ] \d\d:\d\d (?: :\d\d (?:[.,]\d+)? )? (?: Z | [+-]\d\d:?\d\d )? )?
    | (?<![^\W_]) 0x [0-9a-f]+
    # Hexadecimal digits and random letters, if there is a number among them: else it may be a word.
    | (?<![^\W_]) (?=[a-f]*\d) [0-9a-f]{8,} (?![^\W_])
    | (?<![^\W_]) (?=[a-z]*\d) [a-z0-9]{12,} (?![^\W_])
    | (?: (?<![\w)\]…]) [+-] )? \d+ (?:[.,:/-]\d+)*
    """,
    re.IGNORECASE | re.VERBOSE,
)
FRAME = re.compile(r'^  File ".*$', re.MULTILINE)
BLANK = re.compile(r"\s+")
REPEATED = re.compile(rf"{PLACEHOLDER}(?:[\s,]*{PLACEHOLDER})+")

INDEXES = {
    "ix_job_runs_failed": (["workspace_id", "completed_at", "error_group"], "failed"),
    "ix_job_runs_alike": (["workspace_id", "error_group", "id", "completed_at"], "failed"),
    "ix_job_runs_canceled": (["workspace_id", "canceled_at"], "canceled"),
    "ix_job_runs_done": (["workspace_id", "completed_at", "type", "started_at"], "completed"),
}


def telling_line(error: str) -> str:
    """Return the first line with text; of a Python traceback the line below all frames that names the exception."""
    frames = list(FRAME.finditer(error))
    below = error[frames[-1].end() :].split("\n") if frames else []
    exception = next((line for line in below if line.strip() and not line[0].isspace()), None)
    return exception or next((line for line in error.split("\n") if line.strip()), "")


def shorten(match: re.Match[str]) -> str:
    quote = match["quote"] or ""
    return match["kept"] or f"{quote}{PLACEHOLDER}{quote}"


def fingerprint(type: str, error: str | None) -> str:
    """Return the fingerprint that jobs of one type share whose errors differ in numbers, ids, paths and quotes alone.

    These are 16 hexadecimal digits, as the board computed them when this migration was written.
    """
    line = BLANK.sub(" ", telling_line(error or "").strip()[:LINE_LIMIT])
    pattern = REPEATED.sub(PLACEHOLDER, VARYING.sub(shorten, line))[:PATTERN_LIMIT]
    return hashlib.sha256(f"{type}\0{pattern}".encode()).hexdigest()[:16]


def fingerprint_failed_jobs() -> None:
    """Give the jobs that failed before this migration the fingerprints of their errors."""
    connection = op.get_bind()
    job = JOBS.c
    failed = sa.select(job.id, job.type, job.error).where(job.status == "failed").order_by(job.id).limit(BATCH)
    update = sa.update(JOBS).where(job.id == sa.bindparam("key")).values(error_group=sa.bindparam("fingerprint"))
    rows = connection.execute(failed).all()
    while rows:
        values = [{"key": row.id, "fingerprint": fingerprint(row.type, row.error)} for row in rows]
        connection.execute(update, values)
        rows = connection.execute(failed.where(job.id > rows[-1].id)).all()


def create_index(name: str, columns: list[str], status: str) -> None:
    where = sa.text(f"status = '{status}'")
    op.create_index(name, "job_runs", columns, postgresql_where=where, sqlite_where=where)


def upgrade() -> None:
    op.add_column("job_runs", sa.Column("error_group", sa.String(16)))
    fingerprint_failed_jobs()
    op.drop_index("ix_job_runs_failed", table_name="job_runs")
    for name, (columns, status) in INDEXES.items():
        create_index(name, columns, status)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, table_name="job_runs")
    op.drop_column("job_runs", "error_group")
    create_index("ix_job_runs_failed", ["workspace_id", "completed_at"], "failed")
