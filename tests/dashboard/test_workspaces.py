"""A workspace from its first day to its last: created by whoever is signed in, deleted by its owner."""

import re
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.jobs import RUNNER, job_in
from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.audit import SYSTEM, Actor
from webapp.core.chores import deleted_workspaces, schedule
from webapp.core.database.session import db
from webapp.core.models import AuditEntry, Base, JobRun, Role, Workspace
from webapp.core.webhooks import endpoints
from webapp.core.workspaces import deletion, invitations, members, workspaces
from webapp.extensions import outbound

DELETE = "/w/acme/settings/general/delete"


@pytest.fixture
def ada(client: FlaskClient, cast: Cast) -> FlaskClient:
    """A browser in which Ada, who owns acme, is signed in."""
    sign_in(client, "ada@example.com")
    return client


def post(client: FlaskClient, address: str, data: Mapping[str, object] | None = None) -> TestResponse:
    token = csrf_token(client.get("/?all").text)
    return client.post(address, data={"csrf_token": token} | dict(data or {}))


# --- creating ----------------------------------------------------------------------------------------------------


def test_whoever_is_signed_in_creates_a_workspace_and_owns_it(app: Flask, client: FlaskClient, cast: Cast) -> None:
    sign_in(client, "ben@example.com")
    assert 'action="/workspaces"' in client.get("/?all").text
    answer = post(client, "/workspaces", {"name": " Nächtliche Läufe! ", "slug": ""})
    assert answer.location == "/w/nachtliche-laufe/jobs"
    assert "The workspace Nächtliche Läufe! is yours." in client.get(answer.location).text
    with app.app_context():
        assert workspaces.get_membership("nachtliche-laufe", cast.ben.id).role is Role.OWNER
        mine = AuditEntry.actor == cast.ben.ref, AuditEntry.action == "workspace.created"
        [entry] = db.session.scalars(sa.select(AuditEntry).where(*mine))
    assert entry.address == "127.0.0.1"


def test_the_address_may_be_chosen_and_one_that_is_made_is_always_free(ada: FlaskClient) -> None:
    assert post(ada, "/workspaces", {"name": "Nights", "slug": "night-shift"}).location == "/w/night-shift/jobs"
    assert re.fullmatch(r"/w/acme-[0-9a-f]{6}/jobs", post(ada, "/workspaces", {"name": "Acme"}).location or "")
    assert post(ada, "/workspaces", {"name": "夜"}).location == "/w/workspace/jobs"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "A name of 1 to 100 characters, in one line."),
        ({"name": "a\0"}, "A name of 1 to 100 characters, in one line."),
        ({"slug": "Night Shift"}, "1 to 50 small letters, digits and hyphens, no hyphen at either end."),
        ({"slug": "~x"}, "1 to 50 small letters, digits and hyphens, no hyphen at either end."),
        ({"slug": "other"}, "There is already a workspace with the slug other."),
    ],
)
def test_what_is_no_workspace_is_told_beside_the_field(ada: FlaskClient, wrong: Mapping[str, str], said: str) -> None:
    answer = post(ada, "/workspaces", {"name": "Nights", "slug": "nights", **wrong})
    assert (answer.status_code, said in answer.text) == (422, True)
    assert ada.get("/w/nights/jobs").status_code == 404


def test_nobody_creates_a_workspace_without_signing_in(client: FlaskClient, cast: Cast) -> None:
    token = csrf_token(client.get("/login").text)
    answer = client.post("/workspaces", data={"csrf_token": token, "name": "Nights"})
    assert answer.location == "/login"


# --- deleting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", ["cleo", "ben"])
def test_only_the_owner_sees_the_button_and_gets_through_without_it(
    app: Flask, client: FlaskClient, cast: Cast, person: str
) -> None:
    with app.app_context():
        members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    owner = app.test_client()
    sign_in(owner, "ada@example.com")
    assert f'href="{DELETE}"' in owner.get("/w/acme/settings/general").text
    sign_in(client, f"{person}@example.com")
    assert DELETE not in client.get("/w/acme/settings/general").text
    assert client.get(DELETE).status_code == 403
    assert post(client, DELETE, {"name": "Acme"}).status_code == 403
    assert owner.get("/w/acme/jobs").status_code == 200


@pytest.mark.parametrize("typed", ["", "acme", "Other"])
def test_a_workspace_whose_name_is_not_typed_stays(ada: FlaskClient, typed: str) -> None:
    answer = post(ada, DELETE, {"name": typed})
    assert (answer.status_code, "That is not its name, Acme." in answer.text) == (422, True)
    assert ada.get("/w/acme/jobs").status_code == 200


def test_a_deleted_workspace_is_gone_at_once_for_members_runners_and_guests(
    app: Flask, ada: FlaskClient, cast: Cast, token: str
) -> None:
    ben, runner = app.test_client(), app.test_client()
    sign_in(ben, "ben@example.com")
    with app.app_context():
        job_in("running", cast.acme)
        _, secret = invitations.create(
            workspaces.get_membership("acme", cast.ada.id), "d@example.com", "member", by=SYSTEM
        )
    answer = post(ada, DELETE, {"name": " Acme "})
    assert (answer.status_code, answer.location) == (303, "/?all=")
    page = ada.get("/?all").text
    assert "The workspace Acme is deleted." in page
    assert "/w/acme" not in page
    for person in (ada, ben):
        assert person.get("/w/acme/jobs").status_code == 404
    assert runner.get("/api/v1/jobs", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert runner.get(f"/invitations/{secret}").status_code == 404
    with app.app_context():
        [entry] = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "workspace.deleted"))
        assert [workspace.slug for workspace in workspaces.list_all()] == ["other"]
    assert (entry.actor, entry.workspace_id) == (cast.ada.ref, None)
    assert entry.detail == {"name": "Acme", "slug": "acme"}
    assert post(ada, "/workspaces", {"name": "Acme", "slug": "acme"}).location == "/w/acme/jobs"
    assert "generate-report" not in ada.get("/w/acme/jobs").text


@pytest.mark.usefixtures("core")
class TestTheSweep:
    def test_what_a_deleted_workspace_left_is_cleared_away_in_batches_and_nothing_else(
        self, cast: Cast, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deleted_workspaces, "BATCH_SIZE", 2)
        ada = workspaces.get_membership("acme", cast.ada.id)
        endpoints.create(
            ada, "https://hooks.example.com/", ["job.completed", "job.failed"], outbound=outbound(), by=SYSTEM
        )
        kept = job_in("completed", cast.other)
        parent = jobs.enqueue_job("parent", cast.acme.id, tags=["a"], by=RUNNER)
        jobs.enqueue_job("child", cast.acme.id, parent_id=parent, by=RUNNER)
        for state in ("completed", "failed", "canceled", "running", "pending"):
            job_in(state, cast.acme)
        deletion.delete(ada, "Acme", by=Actor(cast.ada.ref))
        assert deleted_workspaces.sweep(lambda: False) == 0
        assert db.session.scalar(sa.select(sa.func.count()).where(JobRun.workspace_id == cast.acme.id))
        assert deleted_workspaces.sweep() == 1
        assert deleted_workspaces.sweep() == 0
        for table in Base.metadata.sorted_tables:
            if "workspace_id" in table.c:
                left = sa.select(sa.func.count()).where(table.c.workspace_id == cast.acme.id)
                assert db.session.scalar(left) == 0, table.name
        assert db.session.scalars(sa.select(Workspace.slug)).all() == ["other"]
        assert db.session.scalars(sa.select(JobRun.id)).all() == [kept.id]

    def test_it_is_one_of_the_chores(self, cast: Cast) -> None:
        deletion.delete(workspaces.get_membership("acme", cast.ada.id), "Acme", by=SYSTEM)
        [chore] = [chore for chore in schedule.list_chores(outbound()) if chore.name == "deleted-workspaces"]
        assert chore.do(lambda: True) == "Cleared away 1 deleted workspaces."

    def test_a_workspace_that_nobody_deleted_is_never_swept(self, cast: Cast) -> None:
        job = job_in("completed", cast.acme)
        assert deleted_workspaces.sweep() == 0
        assert jobs.get_job_status(job.id)
