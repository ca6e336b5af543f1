"""What a workspace has taken of its limits: the same numbers by which more is refused."""

from datetime import timedelta

import pytest
from flask import Flask

from tests.support.clock import Clock
from tests.support.jobs import OPERATOR, RUNNER
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.errors import Conflict
from webapp.core.jobs import time_limits
from webapp.core.jobs.inputs import Limits
from webapp.core.limits import limits, usage
from webapp.core.models import Membership
from webapp.core.stats.limit_usage import LimitUsage, list_limit_usage
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import invitations, tokens, workspaces
from webapp.extensions import outbound


@pytest.fixture
def ada(core: Flask, cast: Cast) -> Membership:
    """Ada, as the owner of acme."""
    return workspaces.get_membership("acme", cast.ada.id)


def used_of(cast: Cast) -> dict[str, int]:
    return {limit.name: limit.used for limit in list_limit_usage(cast.acme.id)}


def test_a_new_workspace_has_taken_its_members_and_nothing_else(ada: Membership, cast: Cast) -> None:
    taken = {limit.name: limit.used for limit in list_limit_usage(cast.acme.id) if limit.used}
    assert taken == {"members": 2}
    assert [limit.limit for limit in list_limit_usage(cast.acme.id)] == [one.default for one in limits.OF_WORKSPACE]


def test_what_is_taken_is_counted_and_what_ended_is_not(ada: Membership, cast: Cast, clock: Clock) -> None:
    endpoints.create(ada, "http://8.8.8.8/hooks", ["job.failed"], outbound=outbound(), by=OPERATOR)
    invitations.create(ada, "dora@example.com", "member", by=OPERATOR)
    time_limits.set_limits(ada, Limits(type="import", max_duration=60), by=OPERATOR)
    time_limits.set_limits(ada, Limits(max_duration=60), by=OPERATOR)
    tokens.create(ada, "short", scopes=["jobs:read"], expires_at=clock.moment + timedelta(days=1), by=OPERATOR)
    tokens.create(ada, "long", scopes=["jobs:read"], by=OPERATOR)
    counted = {"members": 2, "invitations": 1, "tokens": 2, "webhooks": 1, "time-limits": 1}
    assert used_of(cast).items() >= counted.items()
    clock.advance(days=8)
    assert used_of(cast).items() >= (counted | {"invitations": 0, "tokens": 1}).items()


def test_a_limit_is_reached_exactly_when_one_more_is_refused(ada: Membership, cast: Cast) -> None:
    limits.set_limit(limits.of_workspace(cast.acme.id), "tokens", 2, by=SYSTEM)
    for used in (0, 1, 2):
        of_tokens = next(limit for limit in list_limit_usage(cast.acme.id) if limit.name == "tokens")
        assert of_tokens == LimitUsage("tokens", used, 2)
        assert of_tokens.is_reached == (used == 2)
        if used < 2:
            tokens.create_unchecked(cast.acme.id, "one more", by=SYSTEM)
    with pytest.raises(Conflict):
        tokens.create_unchecked(cast.acme.id, "one more", by=SYSTEM)


def test_the_bytes_of_today_are_counted_in_mib_and_those_of_yesterday_not(
    ada: Membership, cast: Cast, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "of_process", usage.Lots())
    jobs.enqueue_job("import", cast.acme.id, {"rows": "x" * 100_000}, by=RUNNER)
    usage.of_process.claim(cast.acme.id, limits.PAYLOAD_SIZE, 3 * usage.MIB)
    assert used_of(cast)["payload-mib-per-day"] >= 3
    assert used_of(cast)["log-mib-per-day"] == 0
    clock.advance(days=1)
    assert used_of(cast)["payload-mib-per-day"] == 0


def test_another_workspace_takes_nothing_of_this_one(ada: Membership, cast: Cast) -> None:
    before = used_of(cast)
    tokens.create_unchecked(cast.other.id, "a runner of other", by=SYSTEM)
    assert used_of(cast) == before
