"""The PATCH table over HTTP: every pair of a job's state and a report, on both engines."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import job_in
from tests.support.people import Cast
from tests.support.runner import Runner
from tests.support.transitions import PAIRS, STATUSES
from webapp.core.audit import SYSTEM, Actor
from webapp.core.workspaces import tokens


@pytest.mark.parametrize(("state", "status", "expected"), PAIRS)
def test_every_pair_has_its_status_code_and_the_job_as_it_stands(
    state: str, status: str | None, expected: str, app: Flask, client: FlaskClient, cast: Cast
) -> None:
    with app.app_context():
        runner_token, text = tokens.create_unchecked(cast.acme.id, "the runner of the job", by=SYSTEM)
        made = job_in(state, cast.acme, by=Actor(runner_token.ref))
        job, stood = {"id": str(made.id)}, made.status.value
    runner = Runner(client, text)
    answer = runner.report(job, **({"status": status} if status else {}))
    if expected in STATUSES:
        assert answer.status_code == 200, answer.text
        assert answer.json["status"] == expected
        assert runner.get(f"/jobs/{job['id']}").json["status"] == expected
    else:
        assert answer.status_code == 409, answer.text
        assert answer.json["code"] == expected
        assert answer.json["job"]["status"] == stood
        assert "payload" not in answer.json["job"]
