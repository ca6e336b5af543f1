"""What is filtered, as a file: every job once, whole or not at all, and no cell that a spreadsheet would run."""

import csv
import io
import json
import os
import tracemalloc
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from tests.support.jobs import RUNNER, job_in
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp import downloads
from webapp.core import jobs
from webapp.core.database.session import db
from webapp.core.database.transactions import read_connection
from webapp.core.jobs import listing
from webapp.core.jobs.listing import JobFilter
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
    monkeypatch.setattr(export, "PAGE_SIZE", 2)
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


def test_a_file_is_whole_before_its_first_byte_is_sent_and_says_its_length(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_SIZE", 2)
    made(app, cast, ["t"] * 5)
    for suffix in ("csv", "ndjson"):
        answer = ben.get(f"/w/acme/jobs.{suffix}")
        assert answer.headers["Content-Length"] == str(len(answer.data))
        assert answer.headers["Cache-Control"] == "private, no-store"
        head = ben.head(f"/w/acme/jobs.{suffix}")
        assert (head.headers["Content-Length"], head.data) == (str(len(answer.data)), b"")


def test_a_file_that_fails_half_way_is_an_error_and_no_part_of_a_file(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_SIZE", 2)
    made(app, cast, ["t"] * 5)
    pages = iter([listing.list_records])

    def list_records(*args: Any, **options: Any) -> Any:
        if (read := next(pages, None)) is None:
            raise OperationalError("SELECT", {}, psycopg.errors.AdminShutdown("terminating connection"))
        return read(*args, **options)

    monkeypatch.setattr(listing, "list_records", list_records)
    answer = ben.get("/w/acme/jobs.csv")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert answer.headers["Retry-After"]
    assert "Content-Disposition" not in answer.headers
    assert "id,type,status" not in answer.text


def test_a_server_may_send_the_file_by_its_own_means(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "SIZE_IN_MEMORY", 10)
    made(app, cast, ["t"])
    with ben.get("/w/acme/jobs.ndjson", environ_overrides={"wsgi.file_wrapper": ServerFile}) as answer:
        (sent,) = ServerFile.sent
        assert isinstance(sent.file.fileno(), int)
        assert os.fstat(sent.file.fileno()).st_nlink == 0
        assert int(answer.headers["Content-Length"]) == len(answer.data) == os.fstat(sent.file.fileno()).st_size > 0
    assert sent.file.closed


class ServerFile:
    """How a server takes a file, by PEP 3333."""

    sent: ClassVar[list["ServerFile"]] = []

    def __init__(self, file: Any, block_size: int = 8192) -> None:
        self.file = file
        self.sent[:] = [self]

    def __iter__(self) -> Any:
        yield self.file.read()

    def close(self) -> None:
        self.file.close()


def test_nothing_is_read_while_the_file_waits_for_its_reader(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "SIZE_IN_MEMORY", 10)
    made(app, cast, ["t"] * 3)
    answer = ben.get("/w/acme/jobs.csv", buffered=False)
    with app.app_context():
        jobs.enqueue_job("later", cast.acme.id, by=RUNNER)
        if db.engine.dialect.name == "sqlite":
            with read_connection() as connection:
                busy, left, moved = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            assert (busy, left, moved) == (0, 0, 0)
        else:
            reading = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %'"
            )
            assert db.session.scalar(sa.text(reading)) == 0
    assert len(answer.text.splitlines()) == 4
    answer.close()


def test_one_file_a_person_and_two_in_all_are_made_at_a_time(ben: FlaskClient, app: Flask, cast: Cast) -> None:
    made(app, cast, ["t"])
    with export.exports.hold(cast.ben.id):
        refused = ben.get("/w/acme/jobs.csv")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        assert "Other downloads are being made right now" in refused.text
    with export.exports.hold("somebody"):
        assert ben.get("/w/acme/jobs.csv").status_code == 200
        with export.exports.hold("somebody else"):
            assert ben.get("/w/acme/jobs.ndjson").status_code == 429
    assert ben.get("/w/acme/jobs.ndjson").status_code == 200


def test_a_file_beyond_its_bound_is_refused_and_says_what_to_do(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(app, cast, ["t"] * 3)
    monkeypatch.setattr(downloads, "MAX_SIZE", 500)
    answer = ben.get("/w/acme/jobs.ndjson")
    assert answer.status_code == 422
    assert "This is more than 1 GiB. Filter by time or by type, and take it home in parts." in answer.text
    assert ben.get("/w/acme/jobs.ndjson?type=none").status_code == 200


def test_a_file_is_made_in_the_memory_of_one_page(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_SIZE", 4)
    with app.app_context():
        for id in made(app, cast, ["t"] * 60):
            jobs.update_job_status(uuid.UUID(id), status="failed", error="x" * 64_000, by=RUNNER)
    ben.get("/w/acme/jobs.csv?type=none")
    tracemalloc.start()
    try:
        answer = ben.get("/w/acme/jobs.csv", buffered=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert int(answer.headers["Content-Length"]) > 60 * 64_000
    assert peak < 1_500_000
    answer.close()


def test_what_a_search_through_errors_leaves_is_searched_once_for_all_pages(
    ben: FlaskClient, app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_SIZE", 2)
    ids = made(app, cast, ["t"] * 7)
    with app.app_context():
        for id in ids:
            jobs.update_job_status(uuid.UUID(id), status="failed", error=f"boom {id}", by=RUNNER)
    searches = []
    build_conditions = listing.build_conditions

    def record_search(workspace_id: uuid.UUID, job_filter: JobFilter, *rest: Any) -> Any:
        searches.append(job_filter.error_text)
        return build_conditions(workspace_id, job_filter, *rest)

    monkeypatch.setattr(listing, "build_conditions", record_search)
    rows = [json.loads(line) for line in ben.get("/w/acme/jobs.ndjson?q=error:boom").text.splitlines()]
    assert [row["id"] for row in rows] == ids[::-1]
    assert searches == ["boom"]
