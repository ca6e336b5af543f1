"""Builds the statements that write a job. Building one costs more than running it, so one is kept for each shape."""

from functools import cache
from typing import Any

import sqlalchemy as sa

from webapp.core.database.statements import CompiledStatement, extra_row
from webapp.core.jobs import idempotency, time_limits
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobSnapshot, job_events, job_runs, job_tags
from webapp.core.webhooks import outbox

SNAPSHOT_COLUMNS = [job_runs.c[name] for name in JobSnapshot._fields if name != "payload"]
"""What a write gives back. The payload may be large, and nobody who reports on a job asks for it."""

_EVENT_ROW = extra_row("event", job_events, ("job_id", "at", "kind", "from_status", "to_status", "by", "message"))
"""An event of the job's history, written together with what it tells."""


def not_before_last_update(now: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
    """Return the time of a change in SQL: ``now``, but never before the job's last update.

    ``decisions`` has the same rule for Python.
    """
    return sa.case((job_runs.c.updated_at > now, job_runs.c.updated_at), else_=now)


def touch_columns() -> dict[str, Any]:
    """Return the columns that every report changes, and their values in SQL; ``now`` is the time on the clock."""
    at = not_before_last_update(sa.bindparam("now", type_=job_runs.c.updated_at.type))
    return {"updated_at": at, "last_seen_at": at, "version": job_runs.c.version + 1}


def _is_job(within_workspace: bool) -> sa.ColumnElement[bool]:
    """Return whether a row is the job ``job_id``, and of the workspace ``within`` if ``within_workspace``."""
    is_job = job_runs.c.id == sa.bindparam("job_id")
    return is_job & (job_runs.c.workspace_id == sa.bindparam("within")) if within_workspace else is_job


@cache
def select_statement(within_workspace: bool) -> CompiledStatement:
    """Read a job by ``job_id``, and ``within`` if ``within_workspace``."""
    return CompiledStatement(sa.select(*SNAPSHOT_COLUMNS).where(_is_job(within_workspace)), SNAPSHOT_COLUMNS)


@cache
def insert_statement(limits_left_out: tuple[str, ...], tags: int, keyed: bool) -> CompiledStatement:
    """Write a job (``new_…``) with its event, so many tags, and its idempotency key if ``keyed``.

    The limits that were left out are read from those of ``of_workspace`` and ``of_type``, and given back after the id.
    """
    workspace_id = sa.bindparam("of_workspace", type_=job_runs.c.workspace_id.type)
    type = sa.bindparam("of_type", type_=job_runs.c.type.type)
    values: dict[str, Any] = {
        column.name: time_limits.default_of(column.name, workspace_id, type)
        if column.name in limits_left_out
        else sa.bindparam(f"new_{column.name}", type_=column.type)
        for column in job_runs.c
    }
    returned = [job_runs.c.id, *(job_runs.c[name] for name in limits_left_out)]
    tag_rows = (extra_row(f"tag{number}", job_tags, ("workspace_id", "tag", "job_id")) for number in range(tags))
    extra_rows = [_EVENT_ROW, *tag_rows]
    if keyed:
        extra_rows.append(idempotency.key_row("key"))
    return CompiledStatement(sa.insert(job_runs).values(values).returning(*returned), returned, extra_rows=extra_rows)


@cache
def hot_update_statement(
    statuses: frozenset[JobStatus], fields: frozenset[str], within_workspace: bool
) -> CompiledStatement:
    """Write these fields of a job as it is reported, if it is in one of these statuses, which does not change."""
    changes: dict[str, Any] = {name: sa.bindparam(name) for name in fields} | touch_columns()
    # Not by "in", which is a text of its own for each number of statuses.
    in_status = sa.or_(*(job_runs.c.status == status for status in sorted(statuses)))
    update = (
        sa.update(job_runs).where(_is_job(within_workspace), in_status).values(changes).returning(*SNAPSHOT_COLUMNS)
    )
    return CompiledStatement(update, SNAPSHOT_COLUMNS)


def update_if_unchanged(fields: frozenset[str]) -> sa.Update:
    """Write these fields (``new_…``) of the job ``job_id``, if its version is still ``seen_version``."""
    changes: dict[str, Any] = {name: sa.bindparam(f"new_{name}", type_=job_runs.c[name].type) for name in fields}
    unchanged = job_runs.c.id == sa.bindparam("job_id"), job_runs.c.version == sa.bindparam("seen_version")
    changes["version"] = job_runs.c.version + 1
    return sa.update(job_runs).where(*unchanged).values(changes).returning(*SNAPSHOT_COLUMNS)


@cache
def transition_statement(fields: frozenset[str], may_notify: bool) -> CompiledStatement:
    """Write these fields with one event, as ``update_if_unchanged``; if ``may_notify``, only where no endpoint is."""
    update = update_if_unchanged(fields)
    if may_notify:
        update = update.where(outbox.has_no_endpoint(job_runs.c.workspace_id))
    return CompiledStatement(update, SNAPSHOT_COLUMNS, extra_rows=[_EVENT_ROW])
