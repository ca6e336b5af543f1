"""Who is sent a message next: no workspace waits for the receivers of another."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from webapp.core.webhooks.places import FAILING, WORKING, Bounds, ReadyEndpoint, share_places

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BOTH = pytest.mark.parametrize(("is_failing", "bounds"), [(False, WORKING), (True, FAILING)])


def endpoint(workspace: int, due: int = 0, *, is_failing: bool = False) -> ReadyEndpoint:
    """An endpoint of a workspace, with a message that is due since so many seconds."""
    due_at = NOW - timedelta(seconds=due)
    return ReadyEndpoint(uuid.uuid4(), uuid.UUID(int=workspace), "http://example.com/", ("whsec_",), is_failing, due_at)


def count_shares(ready: Sequence[ReadyEndpoint], under_way: Sequence[ReadyEndpoint] = ()) -> list[int]:
    shares = share_places(ready, under_way)
    return [shares.get(endpoint, 0) for endpoint in ready]


@BOTH
def test_a_workspace_has_a_few_places_however_many_endpoints_it_has(is_failing: bool, bounds: Bounds) -> None:
    crowd = [endpoint(1, due=60, is_failing=is_failing) for _ in range(20)]
    other = endpoint(2, is_failing=is_failing)
    *shares, of_other = count_shares([*crowd, other])
    assert (sum(shares), of_other) == (bounds.workspace, bounds.endpoint)


@BOTH
def test_an_endpoint_has_no_more_places_than_its_bound(is_failing: bool, bounds: Bounds) -> None:
    one = endpoint(1, is_failing=is_failing)
    assert count_shares([one]) == [bounds.endpoint]
    assert count_shares([one], [one] * bounds.endpoint) == [0]


@BOTH
def test_no_more_is_under_way_than_there_are_places(is_failing: bool, bounds: Bounds) -> None:
    ready = [endpoint(number, is_failing=is_failing) for number in range(50)]
    assert sum(count_shares(ready)) == bounds.total
    assert sum(count_shares(ready, ready[:5])) == bounds.total - 5


def test_failing_endpoints_take_no_place_of_those_that_work() -> None:
    failing = [endpoint(number, due=60, is_failing=True) for number in range(50)]
    working = [endpoint(number) for number in range(50)]
    shares = count_shares([*failing, *working], failing[: FAILING.total])
    assert (sum(shares[:50]), sum(shares[50:])) == (0, WORKING.total)


def test_a_place_goes_to_who_has_the_fewest_then_to_what_is_due_for_longest() -> None:
    busy, idle = endpoint(1, due=60), endpoint(2)
    under_way = [*(endpoint(number) for number in range(10, 24)), endpoint(1)]
    assert count_shares([busy, idle], under_way) == [0, 1]
    newer, older = endpoint(3, due=1), endpoint(4, due=2)
    assert count_shares([newer, older], under_way) == [0, 1]


def test_the_endpoints_of_a_workspace_share_its_places() -> None:
    crowded, quiet = endpoint(1, due=60), endpoint(1)
    assert count_shares([crowded, quiet]) == [2, 2]
