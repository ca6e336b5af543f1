"""Retention: what is deleted, what never is, that a dry run deletes nothing, and that others go on meanwhile."""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.clock import Clock
from tests.support.jobs import RUNNER, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM, Actor
from webapp.core.chores import retention
from webapp.core.database.session import db
from webapp.core.errors import Forbidden, Invalid, NotFound
from webapp.core.jobs.idempotency import RequestKey
from webapp.core.jobs.inputs import NewJob
from webapp.core.jobs.listing import Count
from webapp.core.lifecycle import JobStatus
from webapp.core.models import (
    AuditEntry,
    Base,
    JobRun,
    LogLine,
    LogTail,
    Membership,
    WebhookDelivery,
    WebhookEndpoint,
    Workspace,
    first_id,
    new_id,
)
from webapp.core.workspaces import workspaces

pytestmark = pytest.mark.usefixtures("core")

COMPLETED, FAILED, CANCELED = retention.STATUSES
STATES = ("pending", "running", "completed", "failed", "canceled", "lost", "timed_out")


@pytest.fixture
def ada(cast: Cast) -> Membership:
    return workspaces.get_membership("acme", cast.ada.id)


def keep(member: Membership, **days: int) -> None:
    retention.set_retention(
        member, {JobStatus(status): kept for status, kept in days.items()}, by=Actor(member.user.ref)
    )


def standing(workspace: Workspace) -> set[uuid.UUID]:
    return set(db.session.scalars(sa.select(JobRun.id).where(JobRun.workspace_id == workspace.id)))


def as_numbers(counts: Mapping[JobStatus, Count]) -> dict[str, int]:
    return {status.value: count.count for status, count in counts.items()}


def entries() -> Sequence[AuditEntry]:
    return db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action.like("retention.%"))).all()


# --- what goes ---------------------------------------------------------------------------------------------------


def test_nothing_goes_until_it_is_asked_for(cast: Cast, clock: Clock) -> None:
    ids = {job_in(state, cast.acme).id for state in STATES}
    clock.advance(days=4000)
    assert retention.sweep() == 0
    assert standing(cast.acme) == ids


def test_only_finished_jobs_of_the_status_that_ended_so_long_ago_go(cast: Cast, ada: Membership, clock: Clock) -> None:
    job = {state: job_in(state, cast.acme).id for state in STATES}
    keep(ada, completed=1, failed=2)
    clock.advance(days=1)
    assert retention.sweep() == 0
    clock.advance(seconds=1)
    assert retention.sweep() == 1
    assert standing(cast.acme) == set(job.values()) - {job["completed"]}
    clock.advance(days=1)
    assert retention.sweep() == 3
    assert standing(cast.acme) == {job["pending"], job["running"], job["canceled"]}
    keep(ada, canceled=1)
    assert retention.sweep() == 1
    assert standing(cast.acme) == {job["pending"], job["running"]}


@pytest.mark.parametrize("end", ["completed", "failed", "canceled"])
def test_a_job_counts_from_its_end_however_long_it_took(end: str, cast: Cast, ada: Membership, clock: Clock) -> None:
    keep(ada, completed=30, failed=30, canceled=30)
    job_id = jobs.enqueue_job("slow", cast.acme.id)
    clock.advance(days=50)
    jobs.update_job_status(job_id, status="running", by=RUNNER)
    clock.advance(days=50)
    jobs.update_job_status(job_id, status=end, by=RUNNER)
    clock.advance(days=30)
    assert retention.sweep() == 0
    clock.advance(seconds=1)
    assert retention.sweep() == 1


def test_a_lost_job_whose_runner_speaks_again_lives_on(cast: Cast, ada: Membership, clock: Clock) -> None:
    keep(ada, failed=1)
    job_id = job_in("lost", cast.acme).id
    clock.advance(days=2)
    assert as_numbers(retention.count_due(cast.acme.id, {FAILED: 1})) == {"failed": 1}
    jobs.update_job_status(job_id, progress=50, by=RUNNER)
    assert retention.sweep() == 0


def test_a_lost_job_that_speaks_between_the_look_and_the_deletion_lives_on(
    core: Flask, cast: Cast, ada: Membership, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(ada, failed=1)
    job_id = job_in("lost", cast.acme).id
    clock.advance(days=2)
    delete = retention._delete_batch

    def speak_first(*arguments: object) -> int:
        with core.app_context():
            jobs.update_job_status(job_id, progress=50, by=RUNNER)
        return delete(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "_delete_batch", speak_first)
    assert retention.sweep() == 0
    assert standing(cast.acme) == {job_id}


def test_a_retention_that_is_taken_back_stops_the_sweep_at_once(
    cast: Cast, ada: Membership, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    keep(ada, completed=1)
    for _ in range(6):
        job_in("completed", cast.acme)
    clock.advance(days=2)
    calls: list[None] = []

    def take_back() -> bool:
        keep(ada, completed=3)
        calls.append(None)
        return True

    assert retention.sweep(take_back) == 2
    assert len(standing(cast.acme)) == 4
    assert len(calls) == 2


def test_other_workspaces_keep_theirs(cast: Cast, ada: Membership, clock: Clock) -> None:
    keep(ada, completed=1)
    kept = job_in("completed", cast.other).id
    gone = job_in("completed", cast.acme).id
    clock.advance(days=2)
    assert retention.sweep() == 1
    assert standing(cast.other) == {kept}
    with pytest.raises(NotFound):
        jobs.get_job_status(gone)


def test_a_job_takes_along_all_that_is_its_own_and_nothing_of_others(cast: Cast, ada: Membership, clock: Clock) -> None:
    def rich() -> uuid.UUID:
        new = NewJob.parse({"type": "import", "tags": ["nightly", "eu"]})
        request_key = RequestKey(key=uuid.uuid4().hex, digest="0" * 64)
        job_id = jobs.enqueue_new_job(cast.acme.id, new, by=RUNNER, request_key=request_key).id
        jobs.update_job_status(job_id, status="running", by=RUNNER)
        db.session.add(LogTail(job_id=job_id, last_seq=2, lines=2, size=4, dropped=0))
        db.session.add_all(LogLine(job_id=job_id, seq=seq, at=clock.now(), text="x") for seq in (1, 2))
        db.session.commit()
        return job_id

    def rows() -> dict[str, int]:
        about = [table for table in Base.metadata.sorted_tables if "job_id" in table.c]
        return {
            table.name: db.session.scalar(sa.select(sa.func.count()).where(table.c.job_id.is_not(None))) or 0
            for table in about
        }

    stays = rich()
    alone = rows()
    assert {name for name, count in alone.items() if count} == {
        "idempotency_keys", "job_events", "job_tags", "log_lines", "log_tails"
    }  # fmt: skip
    goes = rich()
    endpoint = WebhookEndpoint(
        id=new_id(clock.now()), workspace_id=cast.acme.id, url="https://e.test", secret="whsec_c2VjcmV0", events=[],
        created_by="system", created_at=clock.now(),
    )  # fmt: skip
    db.session.add(endpoint)
    db.session.flush()
    db.session.add(
        WebhookDelivery(
            id=new_id(clock.now()),
            endpoint_id=endpoint.id,
            event="job.completed",
            job_id=goes,
            body="{}",
            created_at=clock.now(),
            attempts=0,
        )
    )
    db.session.commit()
    jobs.update_job_status(goes, status="completed", by=RUNNER)
    keep(ada, completed=1)
    clock.advance(days=2)
    assert retention.sweep() == 1
    assert standing(cast.acme) == {stays}
    assert rows() == alone
    assert db.session.scalar(sa.select(sa.func.count()).select_from(WebhookDelivery)) == 1


def test_what_hangs_on_a_job_goes_before_it_in_statements_of_its_own(cast: Cast, ada: Membership, clock: Clock) -> None:
    for _ in range(3):
        job_in("completed", cast.acme)
    keep(ada, completed=1)
    clock.advance(days=2)
    emptied: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        emptied.extend(re.findall(r"^DELETE FROM (\w+)", statement))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert retention.sweep() == 3
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
    # By its foreign keys the database would delete them row by row, job after job.
    assert emptied == ["job_events", "log_lines", "log_tails", "job_tags", "idempotency_keys", "job_runs"]


def test_a_child_that_stays_has_no_parent_any_more_and_shows_it_by_its_version(
    cast: Cast, ada: Membership, clock: Clock
) -> None:
    parent = job_in("completed", cast.acme).id
    child = jobs.enqueue_job("child", cast.acme.id, parent_id=parent)
    version = jobs.get_job_status(child).version
    keep(ada, completed=1)
    clock.advance(days=2)
    assert retention.sweep() == 1
    after = jobs.get_job_status(child)
    assert (after.parent_id, after.version) == (None, version + 1)


def test_parent_and_child_go_together(cast: Cast, ada: Membership, clock: Clock) -> None:
    parent = job_in("completed", cast.acme).id
    child = jobs.enqueue_job("child", cast.acme.id, parent_id=parent)
    jobs.update_job_status(child, status="running")
    jobs.update_job_status(child, status="completed")
    keep(ada, completed=1)
    clock.advance(days=2)
    assert retention.sweep() == 2


# --- in batches --------------------------------------------------------------------------------------------------


def test_a_sweep_goes_in_batches_of_the_oldest_and_others_write_in_between(
    cast: Cast, ada: Membership, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    live = jobs.enqueue_job("live", cast.acme.id)
    jobs.update_job_status(live, status="running")
    ids = [job_in("completed", cast.acme).id for _ in range(5) if clock.advance(seconds=1)]
    keep(ada, completed=1)
    clock.advance(days=2)
    left: list[set[uuid.UUID]] = []

    def go_on() -> bool:
        jobs.update_job_status(live, progress=len(left))
        left.append(standing(cast.acme) - {live})
        return True

    assert retention.sweep(go_on) == 5
    assert left == [set(ids[2:]), set(ids[4:]), set()]


def test_a_sweep_that_is_told_to_stop_leaves_the_rest_for_the_next(
    cast: Cast, ada: Membership, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    for _ in range(5):
        job_in("completed", cast.acme)
    keep(ada, completed=1)
    clock.advance(days=2)
    assert retention.sweep(lambda: False) == 2
    assert retention.sweep() == 3


def test_jobs_that_stay_do_not_stand_in_the_way_of_later_ones(
    cast: Cast, ada: Membership, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    slow = [jobs.enqueue_job("slow", cast.acme.id) for _ in range(3)]
    quick = [job_in("canceled", cast.acme).id for _ in range(3)]
    clock.advance(days=2)
    for job_id in slow:
        jobs.cancel_job(job_id)
    keep(ada, canceled=1)
    assert retention.sweep() == len(quick)
    assert standing(cast.acme) == set(slow)


def test_a_moment_stands_between_the_ids_of_before_and_of_after(clock: Clock) -> None:
    at = clock.now()
    for microseconds in (1, 999, 1000, 10**6):
        before = at - timedelta(microseconds=microseconds)
        assert new_id(before) < first_id(at) < new_id(at)
        assert first_id(before) < first_id(at)


# --- a dry run ---------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_what_the_sweep_then_deletes_and_deletes_nothing(
    cast: Cast, ada: Membership, clock: Clock
) -> None:
    for state in (*STATES, "completed"):
        job_in(state, cast.acme)
    job_in("completed", cast.other)
    clock.advance(days=10)
    job_in("completed", cast.acme)
    days = {COMPLETED: 5, FAILED: 5, CANCELED: 11}
    before = standing(cast.acme)
    assert as_numbers(retention.count_due(cast.acme.id, days)) == {"completed": 2, "failed": 3, "canceled": 0}
    assert standing(cast.acme) == before
    retention.set_retention(ada, days, by=SYSTEM)
    assert retention.sweep() == 5
    assert as_numbers(retention.count_due(cast.acme.id, days)) == {"completed": 0, "failed": 0, "canceled": 0}


def test_counting_stops_where_it_is_told_to(cast: Cast, clock: Clock) -> None:
    for _ in range(4):
        job_in("failed", cast.acme)
    clock.advance(days=2)
    assert retention.count_due(cast.acme.id, {FAILED: 1}, cap=3) == {FAILED: Count(3, True)}
    assert retention.count_due(cast.acme.id, {FAILED: 1}, cap=4) == {FAILED: Count(4, False)}
    assert retention.count_due(cast.acme.id, {FAILED: 1}, cap=None) == {FAILED: Count(4, False)}


# --- setting it --------------------------------------------------------------------------------------------------


def test_what_is_set_is_told_and_what_is_left_out_is_kept_for_ever(cast: Cast, ada: Membership) -> None:
    assert retention.get_retention(cast.acme.id) == {}
    keep(ada, completed=30, failed=90)
    assert retention.get_retention(cast.acme.id) == {COMPLETED: 30, FAILED: 90}
    keep(ada, completed=31, canceled=7)
    assert retention.get_retention(cast.acme.id) == {COMPLETED: 31, CANCELED: 7}
    assert retention.get_retention(cast.other.id) == {}
    assert retention.list_all() == {cast.acme.id: {COMPLETED: 31, CANCELED: 7}}
    keep(ada)
    assert retention.list_all() == {}


def test_every_change_is_one_line_of_the_audit_log_and_no_change_is_none(cast: Cast, ada: Membership) -> None:
    keep(ada, completed=30)
    keep(ada, completed=30)
    keep(ada)
    records = [(entry.action, entry.actor, entry.workspace_id, entry.detail) for entry in entries()]
    assert records == [
        ("retention.set", cast.ada.ref, cast.acme.id, {"completed": 30, "failed": None, "canceled": None}),
        ("retention.removed", cast.ada.ref, cast.acme.id, {"completed": None, "failed": None, "canceled": None}),
    ]


def test_a_member_may_not_set_it(cast: Cast, ada: Membership) -> None:
    keep(ada, completed=30)
    with pytest.raises(Forbidden):
        keep(workspaces.get_membership("acme", cast.ben.id), completed=1)
    assert retention.get_retention(cast.acme.id) == {COMPLETED: 30}


def test_wrong_days_and_jobs_that_are_not_finished_are_refused_with_every_fault(cast: Cast, ada: Membership) -> None:
    with pytest.raises(Invalid) as refused:
        keep(ada, completed=0, failed=-1, canceled=3651, running=5)
    assert [fault.path for fault in refused.value.faults] == [
        ("completed",), ("failed",), ("canceled",), ("running",)
    ]  # fmt: skip
    assert retention.get_retention(cast.acme.id) == {}
