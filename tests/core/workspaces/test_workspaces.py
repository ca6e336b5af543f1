"""Workspaces: one owner, and a wall that nothing is seen through."""

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tests.support.jobs import OPERATOR, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.errors import Conflict, Invalid, NotFound
from webapp.core.jobs import listing
from webapp.core.jobs.listing import JobFilter
from webapp.core.models import AuditEntry, Membership, Role
from webapp.core.workspaces import members, offboarding, workspaces

pytestmark = pytest.mark.usefixtures("core")


def roles(cast: Cast) -> dict[str, str]:
    return {member.user.name: member.role.value for member in members.list_members(cast.acme.id)}


def test_who_makes_a_workspace_owns_it(cast: Cast) -> None:
    assert roles(cast) == {"Ada": "owner", "Ben": "member"}


def test_the_database_itself_refuses_a_second_owner(cast: Cast) -> None:
    second = sa.insert(Membership).values(
        workspace_id=cast.acme.id, user_id=cast.cleo.id, role=Role.OWNER, created_at=cast.acme.created_at
    )
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(second)


def test_nobody_is_let_in_as_owner(cast: Cast) -> None:
    with pytest.raises(Invalid):
        members.add_unchecked(cast.acme, cast.cleo, Role.OWNER, by=SYSTEM)
    assert "Cleo" not in roles(cast)


def test_a_transfer_leaves_one_owner_and_the_former_one_is_admin(cast: Cast) -> None:
    members.transfer_unchecked(cast.acme, cast.ben, by=SYSTEM)
    assert roles(cast) == {"Ada": "admin", "Ben": "owner"}
    members.transfer_unchecked(cast.acme, cast.ben, by=SYSTEM)
    assert roles(cast) == {"Ada": "admin", "Ben": "owner"}
    query = sa.select(sa.func.count()).where(AuditEntry.action == "workspace.transferred")
    assert db.session.scalar(query) == 1


def test_only_a_member_can_become_the_owner(cast: Cast) -> None:
    with pytest.raises(NotFound):
        members.transfer_unchecked(cast.acme, cast.cleo, by=SYSTEM)
    assert roles(cast) == {"Ada": "owner", "Ben": "member"}


def test_nobody_is_let_in_twice(cast: Cast) -> None:
    with pytest.raises(Conflict) as refused:
        members.add_unchecked(cast.acme, cast.ben, Role.ADMIN, by=SYSTEM)
    assert refused.value.code == "already_member"
    assert roles(cast)["Ben"] == "member"


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "ä", "a" * 51, "a\n", "a/b"])
def test_a_slug_is_small_letters_digits_and_hyphens(slug: str, cast: Cast) -> None:
    with pytest.raises(Invalid) as caught:
        workspaces.create("", slug, owner=cast.ada, by=SYSTEM)
    assert {fault.path for fault in caught.value.faults} == {("name",), ("slug",)}


def test_a_slug_is_taken_once(cast: Cast) -> None:
    with pytest.raises(Conflict) as refused:
        workspaces.create("Acme again", "acme", owner=cast.cleo, by=SYSTEM)
    assert refused.value.code == "slug_taken"
    assert [membership.workspace.slug for membership in workspaces.list_memberships(cast.cleo.id)] == ["other"]


def test_a_closed_account_is_never_made_the_owner(cast: Cast) -> None:
    offboarding.deactivate(cast.ben, by=SYSTEM)
    with pytest.raises(Conflict, match="deactivated"):
        members.transfer_unchecked(cast.acme, cast.ben, by=SYSTEM)
    assert roles(cast) == {"Ada": "owner", "Ben": "member"}


def test_a_member_enters_and_to_a_stranger_it_looks_as_if_nothing_were_there(cast: Cast) -> None:
    assert workspaces.get_membership("acme", cast.ben.id).role is Role.MEMBER
    with pytest.raises(NotFound) as strange:
        workspaces.get_membership("acme", cast.cleo.id)
    with pytest.raises(NotFound) as unknown:
        workspaces.get_membership("no-such-place", cast.cleo.id)
    assert str(strange.value) == str(unknown.value)


def test_a_stranger_finds_no_job_and_changes_none(cast: Cast) -> None:
    job = job_in("running", cast.acme)
    version = job.version
    there = cast.other.id
    calls: list[tuple[Any, dict[str, Any]]] = [
        (jobs.get_job_status, {}),
        (jobs.update_job_status, {}),
        (jobs.update_job_status, {"progress": 1}),
        (jobs.update_job_status, {"status": "completed"}),
        (jobs.cancel_job, {"by": OPERATOR}),
    ]
    for call, arguments in calls:
        said = set()
        for job_id in (job.id, uuid.uuid4()):
            with pytest.raises(NotFound) as caught:
                call(job_id, within=there, **arguments)
            said.add(str(caught.value))
        assert len(said) == 1
    assert jobs.get_job_status(job.id).version == version


@pytest.mark.parametrize("state", ["lost", "canceled", "completed"])
def test_a_stranger_changes_no_job_that_has_ended_either(state: str, cast: Cast) -> None:
    job = job_in(state, cast.acme)
    version = job.version
    for report in ({"progress": 1}, {"status": "canceled"}, {"status": "completed"}):
        with pytest.raises(NotFound):
            jobs.update_job_status(job.id, within=cast.other.id, **report)
    assert jobs.get_job_status(job.id).version == version


def test_a_stranger_lists_and_counts_nothing_of_it(cast: Cast) -> None:
    job_id = jobs.enqueue_job("secret-type", cast.acme.id, tags=["secret"])
    ours, theirs = cast.acme.id, cast.other.id
    tagged = JobFilter(tag="secret")
    assert [job.id for job in listing.list_jobs(ours, tagged, limit=10).jobs] == [job_id]
    assert listing.list_types(ours) == ["secret-type"]
    for filters in (JobFilter(), tagged, JobFilter(type="secret-type")):
        assert listing.list_jobs(theirs, filters, limit=10).jobs == []
        assert listing.list_versions(theirs, filters, limit=10) == []
        assert {count.count for count in listing.count_by_status(theirs, filters).values()} == {0}
    assert listing.list_types(theirs) == []


def test_a_job_without_a_workspace_is_found_by_nobody_who_must_name_one(cast: Cast) -> None:
    job_id = jobs.enqueue_job("t", None)
    assert jobs.get_job_status(job_id).workspace_id is None
    for workspace in (cast.acme, cast.other):
        with pytest.raises(NotFound):
            jobs.get_job_status(job_id, within=workspace.id)
