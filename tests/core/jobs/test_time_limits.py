"""Time limits of a workspace: what a job without its own gets, who may set them, and what the audit log tells."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.clock import Clock
from tests.support.jobs import RUNNER
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM, Actor
from webapp.core.chores import liveness
from webapp.core.database.session import db
from webapp.core.errors import Forbidden, Invalid
from webapp.core.jobs import time_limits
from webapp.core.jobs.inputs import Limits, NewJob
from webapp.core.models import AuditEntry, Membership, Role
from webapp.core.workspaces import members, workspaces

pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture
def ada(cast: Cast) -> Membership:
    return workspaces.get_membership("acme", cast.ada.id)


def put(member: Membership, type: str | None = None, **seconds: int) -> None:
    time_limits.set_limits(member, Limits.parse({"type": type} | seconds), by=Actor(member.user.ref, "203.0.113.7"))


def standing(cast: Cast) -> list[tuple[str, int | None, int | None]]:
    return [
        (limit.type, limit.heartbeat_timeout, limit.max_duration) for limit in time_limits.list_limits(cast.acme.id)
    ]


def enqueued(cast: Cast, type: str = "import", **own: Any) -> tuple[int | None, int | None]:
    """The limits of a new job, as the answer and as the table has them."""
    job_id = jobs.enqueue_job(type, cast.acme.id, by=RUNNER, **own)
    job = jobs.get_job_status(job_id)
    return job.heartbeat_timeout, job.max_duration


def entries() -> Sequence[AuditEntry]:
    query = sa.select(AuditEntry).where(AuditEntry.action.like("time_limits.%")).order_by(AuditEntry.id)
    return db.session.scalars(query).all()


# --- what a job gets ---------------------------------------------------------------------------------------------


def test_without_limits_of_the_workspace_a_job_has_none_but_its_own(cast: Cast) -> None:
    assert enqueued(cast) == (None, None)
    assert enqueued(cast, heartbeat_timeout=5) == (5, None)


def test_a_job_gets_the_limit_of_its_type_else_that_of_every_type_each_by_itself(cast: Cast, ada: Membership) -> None:
    put(ada, heartbeat_timeout=60, max_duration=3600)
    put(ada, "import", heartbeat_timeout=10)
    put(ada, "export", max_duration=7200)
    assert enqueued(cast, "import") == (10, 3600)
    assert enqueued(cast, "export") == (60, 7200)
    assert enqueued(cast, "else") == (60, 3600)


def test_what_the_runner_says_comes_first(cast: Cast, ada: Membership) -> None:
    put(ada, heartbeat_timeout=60, max_duration=3600)
    put(ada, "import", heartbeat_timeout=10)
    assert enqueued(cast, heartbeat_timeout=5) == (5, 3600)
    assert enqueued(cast, max_duration=7) == (10, 7)
    assert enqueued(cast, heartbeat_timeout=5, max_duration=7) == (5, 7)


def test_the_answer_to_a_new_job_tells_the_limits_that_it_got(cast: Cast, ada: Membership) -> None:
    put(ada, heartbeat_timeout=60, max_duration=3600)
    new = NewJob.parse({"type": "import", "max_duration": 7})
    job = jobs.enqueue_new_job(cast.acme.id, new, by=RUNNER)
    assert (job.heartbeat_timeout, job.max_duration) == (60, 7)


def test_another_workspace_and_a_job_of_none_get_nothing(cast: Cast, ada: Membership) -> None:
    put(ada, heartbeat_timeout=60)
    for workspace_id in (cast.other.id, None):
        assert jobs.get_job_status(jobs.enqueue_job("import", workspace_id)).heartbeat_timeout is None


def test_a_change_is_for_the_jobs_that_come(cast: Cast, ada: Membership) -> None:
    put(ada, heartbeat_timeout=60)
    job_id = jobs.enqueue_job("import", cast.acme.id)
    put(ada, heartbeat_timeout=600)
    assert jobs.get_job_status(job_id).heartbeat_timeout == 60


def test_a_job_is_asked_for_the_limits_in_the_statement_that_writes_it(cast: Cast, ada: Membership) -> None:
    put(ada, heartbeat_timeout=60)
    said: list[str] = []

    def listen(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", listen)
    job_id = jobs.enqueue_job("import", cast.acme.id)
    sa.event.remove(db.engine, "before_cursor_execute", listen)
    # The statement that writes it is a prepared one, which is not heard here; another would be.
    assert said == []
    assert jobs.get_job_status(job_id).heartbeat_timeout == 60


def test_the_board_judges_a_job_by_the_limit_that_it_got(cast: Cast, ada: Membership, clock: Clock) -> None:
    put(ada, "import", max_duration=30)
    job_id = jobs.enqueue_job("import", cast.acme.id)
    jobs.update_job_status(job_id, status="running", by=RUNNER)
    clock.advance(seconds=29)
    assert liveness.sweep().timed_out == 0
    clock.advance(seconds=1)
    assert liveness.sweep().timed_out == 1
    assert jobs.get_job_status(job_id).failure_reason == "timed_out"


# --- setting them ------------------------------------------------------------------------------------------------


def test_limits_are_listed_those_of_every_type_first(cast: Cast, ada: Membership) -> None:
    put(ada, "b", heartbeat_timeout=2)
    put(ada, "a", max_duration=1)
    put(ada, heartbeat_timeout=3, max_duration=4)
    assert standing(cast) == [("", 3, 4), ("a", None, 1), ("b", 2, None)]
    assert time_limits.list_limits(cast.other.id) == []


def test_limits_set_again_stand_in_place_of_the_former_ones(cast: Cast, ada: Membership) -> None:
    put(ada, "a", heartbeat_timeout=2, max_duration=9)
    put(ada, "a", heartbeat_timeout=3)
    assert standing(cast) == [("a", 3, None)]


def test_limits_are_removed_by_saying_so_and_by_setting_neither(cast: Cast, ada: Membership) -> None:
    put(ada, "a", heartbeat_timeout=2)
    put(ada, heartbeat_timeout=2)
    time_limits.delete_limits(ada, "a", by=SYSTEM)
    assert standing(cast) == [("", 2, None)]
    put(ada)
    assert standing(cast) == []
    assert enqueued(cast) == (None, None)


def test_every_change_is_one_line_of_the_audit_log_and_no_change_is_none(cast: Cast, ada: Membership) -> None:
    put(ada, "a", heartbeat_timeout=2)
    time_limits.delete_limits(ada, "a", by=Actor(cast.ada.ref))
    time_limits.delete_limits(ada, "a", by=Actor(cast.ada.ref))
    records = [(entry.action, entry.actor, entry.detail) for entry in entries()]
    assert records == [
        ("time_limits.set", cast.ada.ref, {"type": "a", "heartbeat_timeout": 2, "max_duration": None}),
        ("time_limits.removed", cast.ada.ref, {"type": "a", "heartbeat_timeout": None, "max_duration": None}),
    ]
    assert (entries()[0].workspace_id, entries()[0].address) == (cast.acme.id, "203.0.113.7")


def test_a_member_may_neither_set_nor_remove_and_an_admin_may(cast: Cast, ada: Membership) -> None:
    put(ada, "a", heartbeat_timeout=2)
    ben = workspaces.get_membership("acme", cast.ben.id)
    with pytest.raises(Forbidden):
        put(ben, "a", heartbeat_timeout=3)
    with pytest.raises(Forbidden):
        time_limits.delete_limits(ben, "a", by=SYSTEM)
    assert standing(cast) == [("a", 2, None)]
    assert len(entries()) == 1
    members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    put(workspaces.get_membership("acme", cast.cleo.id), "a", heartbeat_timeout=3)
    assert standing(cast) == [("a", 3, None)]


def test_limits_that_no_job_could_have_are_refused_with_every_fault(cast: Cast, ada: Membership) -> None:
    with pytest.raises(Invalid) as refused:
        put(ada, "x" * 201, heartbeat_timeout=0, max_duration=30 * 24 * 3600 + 1)
    assert [fault.path for fault in refused.value.faults] == [("type",), ("heartbeat_timeout",), ("max_duration",)]


def test_a_deleted_workspace_leaves_no_limits(cast: Cast, ada: Membership) -> None:
    put(ada, heartbeat_timeout=2)
    with db.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM workspaces WHERE slug = 'acme'"))
    assert time_limits.list_limits(uuid.UUID(str(ada.workspace_id))) == []
