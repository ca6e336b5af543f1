"""Many at once: what is ticked, or all that match, is named before and told of after."""

import re
import uuid
from collections import Counter
from contextlib import suppress
from urllib.parse import parse_qsl

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.support.concurrency import at_once
from tests.support.jobs import OPERATOR, RUNNER, final_moves, job_in
from tests.support.pages import HTMX, post, sign_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.database.session import db
from webapp.core.errors import Conflict
from webapp.core.jobs import CancelOutcome, cancel
from webapp.core.models import AuditEntry


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    sign_in(client, "ben@example.com")
    return client


def fields_of(page: str) -> dict[str, object]:
    """The hidden fields of the form that asks whether one is sure."""
    form = page[page.index('id="sure"') :]
    named = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)
    return {name: [value for other, value in named if other == name] for name, _ in named if name != "csrf_token"}


def status_of(app: Flask, job_id: uuid.UUID) -> str:
    with app.app_context():
        return jobs.get_job_status(job_id).status.value


def test_each_of_many_batches_is_judged_audited_and_told(
    core: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "BATCH_SIZE", 2)
    states = ("pending", "running", "completed", "running", "canceled")
    ids = [job_in(state, cast.acme).id for state in states]
    versions = [jobs.get_job_status(job_id).version for job_id in ids]
    gone = uuid.uuid4()
    outcomes = jobs.cancel_jobs(cast.acme.id, [*ids, gone], by=OPERATOR)
    assert list(outcomes) == [*ids, gone]
    assert (outcomes[ids[2]], outcomes[gone]) == (CancelOutcome.FINISHED, CancelOutcome.NOT_FOUND)
    assert Counter(outcomes.values()) == {
        CancelOutcome.CANCELED: 3,
        CancelOutcome.FINISHED: 1,
        CancelOutcome.ALREADY_CANCELED: 1,
        CancelOutcome.NOT_FOUND: 1,
    }
    for job_id, state, version in zip(ids, states, versions, strict=True):
        job = jobs.get_job_status(job_id)
        moved = state in ("pending", "running")
        lines = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.resource == f"job:{job_id}")).all()
        assert job.version == version + moved
        assert len([event for event in jobs.list_events(job) if event.to_status == "canceled"]) == (
            state != "completed"
        )
        assert len(lines) == (state != "completed")
        if moved:
            assert (job.status, job.canceled_by, job.check_at) == ("canceled", OPERATOR.ref, None)
            assert jobs.list_events(job)[-1].from_status == state


def test_a_cancel_of_many_against_completions_has_one_winner_for_each_job(core: Flask, cast: Cast) -> None:
    for _ in range(5):
        ids = [job_in("running", cast.acme).id for _ in range(12)]

        def complete_all(ids: list[uuid.UUID] = ids) -> int:
            completed = 0
            for job_id in reversed(ids):
                with suppress(Conflict):
                    jobs.update_job_status(job_id, status="completed", by=RUNNER)
                    completed += 1
            return completed

        def cancel_all(ids: list[uuid.UUID] = ids) -> int:
            outcomes = jobs.cancel_jobs(cast.acme.id, ids, by=OPERATOR)
            return Counter(outcomes.values())[CancelOutcome.CANCELED]

        canceled, completed = at_once(core, cancel_all, complete_all)
        statuses = Counter(jobs.get_job_status(job_id).status.value for job_id in ids)
        assert (statuses["canceled"], statuses["completed"]) == (canceled, completed)
        assert all(len(final_moves(jobs.get_job_status(job_id))) == 1 for job_id in ids)


def test_without_scripts_the_ticked_jobs_are_named_before_anything_happens(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        one, done = job_in("running", cast.acme).id, job_in("completed", cast.acme).id
    question = post(ben, "/w/acme/jobs/cancel", {"job": [str(one), str(done)]})
    assert "Cancel 1 job?" in question.text
    assert str(one)[-8:] in question.text
    assert status_of(app, one) == "running"
    answer = post(ben, "/w/acme/jobs/cancel", fields_of(question.text))
    assert (answer.status_code, answer.location) == (303, "/w/acme/jobs")
    assert f"1 canceled, 1 had finished (generate-report …{str(done)[-8:]})" in ben.get(answer.location).text


def test_the_first_that_were_not_canceled_are_named_and_none_of_another_workspace(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        done = [job_in("completed", cast.acme).id for _ in range(5)]
        before = job_in("canceled", cast.acme).id
        elsewhere = job_in("completed", cast.other).id
    ticked = [str(job_id) for job_id in (*done, before, elsewhere)]
    answer = post(ben, "/w/acme/jobs/cancel", {"job": ticked, "sure": "1"})
    page = ben.get(answer.location).text
    first = ", ".join(f"generate-report …{str(job_id)[-8:]}" for job_id in reversed(done[:3]))
    assert f"1 had been canceled before (generate-report …{str(before)[-8:]})" in page
    assert f"5 had finished ({first} and 2 more)" in page
    assert "1 not found" in page
    assert str(elsewhere)[-8:] not in page


def test_with_scripts_which_have_asked_before_the_ticked_are_canceled_at_once(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        one = job_in("running", cast.acme).id
    assert post(ben, "/w/acme/jobs/cancel", {"job": str(one)}, headers=HTMX).status_code == 204
    assert status_of(app, one) == "canceled"


def test_all_that_match_are_counted_by_status_and_canceled_but_none_that_came_since(
    ben: FlaskClient, app: Flask, cast: Cast
) -> None:
    with app.app_context():
        matching = [jobs.enqueue_job("import", cast.acme.id, tags=["x"], by=RUNNER) for _ in range(3)]
        jobs.update_job_status(matching[0], status="running")
        untagged = jobs.enqueue_job("import", cast.acme.id, by=RUNNER)
        elsewhere = jobs.enqueue_job("import", cast.other.id, tags=["x"], by=RUNNER)
    page = ben.get("/w/acme/jobs?type=import&tag=x").text
    link = re.search(r'id="cancel-all" href="([^"]+)">([^<]+)<', page)
    assert link
    assert "Cancel all 3 pending or running that match" in link[2]
    question = ben.get(link[1].replace("&amp;", "&")).text
    assert "Cancel 3 jobs?" in question
    assert "<b>2 pending</b>, <b>1 running</b>" in question
    assert [status_of(app, job_id) for job_id in matching] == ["running", "pending", "pending"]
    with app.app_context():
        came_since = jobs.enqueue_job("import", cast.acme.id, tags=["x"], by=RUNNER)
        jobs.update_job_status(matching[0], status="completed")
    answer = post(ben, "/w/acme/jobs/cancel", fields_of(question))
    assert (answer.status_code, answer.location) == (303, "/w/acme/jobs?type=import&tag=x")
    assert "2 canceled, 1 had finished or no longer matched" in ben.get(answer.location).text
    assert [status_of(app, job_id) for job_id in matching] == ["completed", "canceled", "canceled"]
    assert {status_of(app, job_id) for job_id in (came_since, untagged, elsewhere)} == {"pending"}


@pytest.mark.parametrize(
    "query",
    [
        *("status=completed", "failed_since=2020-01-01", "q=nowhere", "type=other"),
        # What names nothing, or is no filter at all, must not leave one out.
        *("type=%20", "tag=%C2%A0", "type=%00", "q=%00", "created_by=%0A", "error_group=%20", "error_group=none"),
        *("status=done", "created_after=yesterday", "created_before=%00", "failed_since=soon"),
        f"type={'generate-report'.ljust(200, 'x')}x",
    ],
)
def test_a_filter_that_leaves_nothing_to_cancel_cancels_nothing(
    ben: FlaskClient, app: Flask, cast: Cast, query: str
) -> None:
    with app.app_context():
        job_id = job_in("running", cast.acme).id
    assert "Nothing to cancel" in ben.get(f"/w/acme/jobs/cancel?{query}").text
    forged = dict(parse_qsl(query)) | {"all": "1", "newest": str(job_id), "shown": "5"}
    assert post(ben, "/w/acme/jobs/cancel", forged).status_code == 303
    assert status_of(app, job_id) == "running"
