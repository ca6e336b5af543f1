"""The audit log: every cancel by whomever, with who it was and from where; and the names of those who did things."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import job_in
from tests.support.pages import csrf_token, sign_in
from tests.support.people import Cast
from tests.support.runner import Runner
from webapp.core import audit
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.models import AuditEntry, Scope
from webapp.core.workspaces import tokens

HERE = "203.0.113.7"


def cancels(app: Flask) -> list[tuple[str, str, str | None]]:
    with app.app_context():
        query = sa.select(AuditEntry).where(AuditEntry.action == "job.canceled").order_by(AuditEntry.id)
        return [(entry.resource, entry.actor, entry.address) for entry in db.session.scalars(query)]


def test_a_cancel_through_the_api_names_the_token_and_its_address(
    app: Flask, client: FlaskClient, cast: Cast, token: str
) -> None:
    with app.app_context():
        key, text = tokens.create_unchecked(cast.acme.id, "canceler", scopes=[Scope.CANCEL], by=SYSTEM)
    job = Runner(client, token).enqueue()
    client.environ_base["REMOTE_ADDR"] = HERE
    for _ in range(2):
        assert Runner(client, text).post(f"/jobs/{job['id']}/cancel").status_code == 200
    assert cancels(app) == [(f"job:{job['id']}", key.ref, HERE)]


def test_every_ticked_job_that_was_canceled_names_the_person_and_the_address(
    app: Flask, client: FlaskClient, cast: Cast
) -> None:
    with app.app_context():
        ids = [job_in(state, cast.acme).id for state in ("running", "pending", "completed")]
    client.environ_base["REMOTE_ADDR"] = HERE
    sign_in(client, "ben@example.com")
    form_token = csrf_token(client.get("/w/acme/jobs").text)
    ticked = {"csrf_token": form_token, "sure": "yes", "job": [str(job_id) for job_id in ids]}
    client.post("/w/acme/jobs/cancel", data=ticked)
    assert cancels(app) == [(f"job:{job_id}", cast.ben.ref, HERE) for job_id in ids[:2]]


@pytest.mark.usefixtures("core")
def test_actors_have_their_names_and_odd_ones_are_told_all_the_same(cast: Cast) -> None:
    gone = "user:0193a000-0000-7000-8000-00000000000a"
    odd = ["user:", "user:not-an-id", "token:" + "9" * 50, "nobody", "user:\ud800"]
    named = audit.get_names([cast.ben.ref, "system", gone, None, *odd])
    assert (named[cast.ben.ref], named["system"]) == ("Ben", "the board")
    assert {named[ref] for ref in (gone, *odd)} == {"somebody who is gone"}
