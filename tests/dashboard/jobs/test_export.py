"""What is filtered, as a file: every job once, one page in memory, and no cell that a spreadsheet would run."""

import csv
import io
import json
import uuid
from collections.abc import Sequence

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import RUNNER, job_in
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.dashboard.jobs import export


@pytest.fixture
def ben(client: FlaskClient, cast: Cast) -> FlaskClient:
    sign_in(client, "ben@example.com")
    return client


def made(app: Flask, cast: Cast, types: Sequence[str]) -> list[str]:
    with app.app_context():
        return [str(jobs.enqueue_job(type, cast.acme.id, {"large": 1}, tags=["a", "b"], by=RUNNER)) for type in types]


def test_both_files_tell_of_every_job_that_matches_newest_first(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH_SIZE", 2)
    ids = made(app, cast, ["t"] * 5)
    made(app, cast, ["other"])
    with app.app_context():
        jobs.enqueue_job("t", cast.other.id, by=RUNNER)
        jobs.update_job_status(uuid.UUID(ids[0]), status="failed", error="boom")
    table = ben.get("/w/acme/jobs.csv?type=t")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["id"] for row in rows] == ids[::-1]
    assert (rows[-1]["error"], rows[-1]["tags"], rows[0]["error"]) == ("boom", "a, b", "")
    assert table.headers["Content-Disposition"] == 'attachment; filename="acme-jobs.csv"'
    lines = [json.loads(line) for line in ben.get("/w/acme/jobs.ndjson?type=t").text.splitlines()]
    assert [line["id"] for line in lines] == ids[::-1]
    assert list(lines[0]) == list(rows[0])
    assert not {"payload", "result"} & set(rows[0])


def test_a_file_without_jobs_still_names_its_columns(ben: FlaskClient) -> None:
    assert ben.get("/w/acme/jobs.csv").text.startswith("id,type,status,")
    assert ben.get("/w/acme/jobs.ndjson").text == ""


@pytest.mark.parametrize("type", ["=1+1", "+1", "-1", "@SUM(A1)", 'a,"b"c'])
def test_no_type_is_a_formula(ben: FlaskClient, app: Flask, cast: Cast, type: str) -> None:
    made(app, cast, [type])
    (row,) = csv.DictReader(io.StringIO(ben.get("/w/acme/jobs.csv").text, newline=""))
    assert row["type"] == (type if type.startswith("a") else f"'{type}")


@pytest.mark.parametrize("message", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a,"b"\nc'])
def test_no_cell_is_a_formula(ben: FlaskClient, app: Flask, cast: Cast, message: str) -> None:
    with app.app_context():
        jobs.update_job_status(job_in("running", cast.acme).id, message=message, by=RUNNER)
    (row,) = csv.DictReader(io.StringIO(ben.get("/w/acme/jobs.csv").text, newline=""))
    assert row["message"] == (message if message.startswith("a") else f"'{message}")


def test_the_first_lines_are_sent_before_the_last_job_is_read(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH_SIZE", 1)
    made(app, cast, ["t"] * 3)
    pieces = list(ben.get("/w/acme/jobs.ndjson").response)
    assert len([piece for piece in pieces if piece]) == 3
