"""Decides to which endpoints messages are sent next, so that no workspace waits for the receivers of another.

A POST takes a place until it is answered, and a receiver that hangs keeps it for ten seconds. So endpoints that fail
have places of their own, and of either kind a workspace has a few at most.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Bounds:
    """How many POSTs may be under way in one process: in all, for one workspace, and for one endpoint."""

    total: int
    workspace: int
    endpoint: int


WORKING = Bounds(total=16, workspace=4, endpoint=4)
"""For endpoints whose last attempt was answered well, and for new ones."""
FAILING = Bounds(total=8, workspace=2, endpoint=1)
"""For endpoints whose last attempt failed."""


@dataclass(frozen=True)
class ReadyEndpoint:
    """An endpoint with messages that are due, the first of them since ``due_at``."""

    id: uuid.UUID
    workspace_id: uuid.UUID
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    is_failing: bool
    due_at: datetime

    @property
    def bounds(self) -> Bounds:
        return FAILING if self.is_failing else WORKING


def share_places(ready: Sequence[ReadyEndpoint], under_way: Iterable[ReadyEndpoint]) -> Mapping[ReadyEndpoint, int]:
    """Return how many messages may be sent to each endpoint now; ``under_way`` has one for each POST that is.

    A place goes to the workspace that has the fewest, and there to the endpoint that has the fewest; among equals to
    the one whose message is due for longest.
    """
    shares: Counter[ReadyEndpoint] = Counter()
    for bounds in (WORKING, FAILING):
        endpoints = [endpoint for endpoint in ready if endpoint.bounds is bounds]
        shares += _share(endpoints, [endpoint for endpoint in under_way if endpoint.bounds is bounds], bounds)
    return shares


def _share(
    endpoints: Sequence[ReadyEndpoint], under_way: Sequence[ReadyEndpoint], bounds: Bounds
) -> Counter[ReadyEndpoint]:
    by_workspace = Counter(endpoint.workspace_id for endpoint in under_way)
    by_endpoint = Counter(endpoint.id for endpoint in under_way)
    shares: Counter[ReadyEndpoint] = Counter()

    def has_room(endpoint: ReadyEndpoint) -> bool:
        return by_workspace[endpoint.workspace_id] < bounds.workspace and by_endpoint[endpoint.id] < bounds.endpoint

    def get_rank(endpoint: ReadyEndpoint) -> tuple[int, int, datetime, uuid.UUID]:
        return by_workspace[endpoint.workspace_id], by_endpoint[endpoint.id], endpoint.due_at, endpoint.id

    for _ in range(bounds.total - len(under_way)):
        endpoints = list(filter(has_room, endpoints))
        if not endpoints:
            break
        endpoint = min(endpoints, key=get_rank)
        shares[endpoint] += 1
        by_workspace[endpoint.workspace_id] += 1
        by_endpoint[endpoint.id] += 1
    return shares
