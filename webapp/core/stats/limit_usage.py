"""Counts how much of its limits a workspace has taken, by the statements that refuse more."""

import math
import uuid
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from webapp.core.database.session import db
from webapp.core.jobs import time_limits
from webapp.core.limits import limits, usage
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import invitations, members, tokens

_SIZES = (limits.PAYLOAD_SIZE, limits.LOG_SIZE)
"""What is counted in MiB."""


class LimitUsage(NamedTuple):
    """A limit of a workspace by its name, and how much of it is taken."""

    name: str
    used: int
    limit: int

    @property
    def is_reached(self) -> bool:
        """Return whether there is no room for more."""
        return self.used >= self.limit

    @property
    def is_size(self) -> bool:
        """Return whether it is counted in MiB."""
        return any(self.name == limit.name for limit in _SIZES)


def list_limit_usage(workspace_id: uuid.UUID) -> list[LimitUsage]:
    """Return every limit of a workspace with what is taken of it."""
    used = dict(_count_taken(workspace_id))
    current = limits.list_limits(limits.of_workspace(workspace_id))
    return [LimitUsage(limit.name, used[limit.name], limit.value) for limit in current]


def _count_taken(workspace_id: uuid.UUID) -> Iterator[tuple[str, int]]:
    statements: Mapping[limits.Limit, sa.Select[int]] = {
        limits.MEMBERS: members.select_count(workspace_id),
        limits.INVITATIONS: invitations.select_count(workspace_id),
        limits.NEW_INVITATIONS: invitations.select_new_count(workspace_id),
        limits.TOKENS: tokens.select_count(workspace_id),
        limits.NEW_TOKENS: tokens.select_new_count(workspace_id),
        limits.WEBHOOKS: endpoints.select_count(workspace_id),
        limits.TIME_LIMITS: time_limits.select_count(workspace_id),
    }
    for limit, statement in statements.items():
        yield limit.name, db.session.scalar(statement) or 0
    for limit in _SIZES:
        # Rounded up: a workspace that has sent something has not sent nothing.
        yield limit.name, math.ceil(usage.get_today(workspace_id, limit) / usage.MIB)
