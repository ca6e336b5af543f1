"""What Prometheus is told: who may ask, what is counted, over how many processes, and that no workspace shows in it."""

import os
import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import DBAPIError

from tests.support.apps import SECRET_KEY, dispose, make_app
from tests.support.clock import Clock
from tests.support.environment import command_in
from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.pages import sign_in
from tests.support.paths import ROOT
from tests.support.people import Cast
from tests.support.processes import children, command_line, on_linux, serve, wait_until_it_serves
from tests.support.receiver import receiver
from tests.support.waiting import wait_until
from webapp.cli import maintain
from webapp.core import jobs
from webapp.core.chores import liveness
from webapp.core.chores.schedule import Chore
from webapp.core.database.engine import get_wal_size
from webapp.core.database.session import db
from webapp.core.errors import Conflict, Invalid, NotFound
from webapp.core.jobs.inputs import BatchedReport, Report
from webapp.core.models import JobRun, WebhookEvent
from webapp.core.webhooks import endpoints, sender
from webapp.core.workspaces import tokens, workspaces
from webapp.extensions import outbound

NOBODY = uuid.UUID(int=7)
TOKEN = "the-token-of-prometheus"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Numbers = Mapping[str, float]


SETTINGS = {"METRICS_TOKEN": TOKEN, "WEBHOOK_ALLOW_PRIVATE": "1"}


@pytest.fixture
def settings() -> Mapping[str, str]:
    """Those of an administrator who lets Prometheus in."""
    return SETTINGS


def numbers(text: str) -> Numbers:
    """Each series with its value, by a name like ``callboard_jobs_moved_total to=failed``."""
    return {
        " ".join([sample.name.removeprefix("callboard_"), *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def counted(app: Flask) -> Callable[[], Numbers]:
    """What changed since the test began or last asked; without what is counted of the asking itself."""

    def now() -> Numbers:
        answer = app.test_client().get("/metrics", headers=BEARER)
        assert answer.status_code == 200
        return numbers(answer.text)

    before = now()

    def changed() -> Numbers:
        nonlocal before
        after = now()
        more = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
        before = after
        own = "endpoint=metrics", "sqlite_wal_bytes"
        return {name: value for name, value in more.items() if not any(part in name for part in own)}

    return changed


def without_requests(changed: Numbers) -> Numbers:
    return {name: value for name, value in changed.items() if not name.startswith("request")}


# --- the database ------------------------------------------------------------------------------------------------


def test_the_size_of_the_log_of_sqlite_is_shown(client: FlaskClient, app: Flask, cast: Cast) -> None:
    shown = numbers(client.get("/metrics", headers=BEARER).text)
    with app.app_context():
        assert shown.get("sqlite_wal_bytes") == get_wal_size(db.engine)
        assert (db.engine.dialect.name == "sqlite") is (shown.get("sqlite_wal_bytes", 0) > 0)


# --- who may ask -------------------------------------------------------------------------------------------------


def test_without_a_token_in_the_settings_there_is_no_such_page(sqlite_template: Path) -> None:
    app = make_app(f"sqlite:///{sqlite_template}")
    for headers in ({}, BEARER, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
        assert app.test_client().get("/metrics", headers=headers).status_code == 404
    dispose(app)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        f"Token {TOKEN}",
        TOKEN,
        "Bearer \xe9\xff",
    ],
)
def test_whoever_does_not_send_the_token_is_told_to(client: FlaskClient, sent: str | None) -> None:
    answer = client.get("/metrics", headers={"Authorization": sent} if sent else {})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.text == "Send 'Authorization: Bearer' and the METRICS_TOKEN of this board.\n"


def test_a_token_is_not_compared_letter_by_letter(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr("webapp.metrics.hmac.compare_digest", lambda *pair: compared.append(pair))
    client.get("/metrics", headers={"Authorization": "Bearer wrong"})
    assert compared == [(b"wrong", TOKEN.encode())]


def test_whoever_sends_it_gets_the_format_that_they_read(client: FlaskClient) -> None:
    plain = client.get("/metrics", headers=BEARER)
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["Cache-Control"] == "no-store"
    other = client.get("/metrics", headers=BEARER | {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert other.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert other.text.endswith("# EOF\n")


def test_a_board_whose_database_is_away_still_answers() -> None:
    app = make_app("postgresql://nobody@127.0.0.1:9/nothing", **SETTINGS)
    assert app.test_client().get("/metrics", headers=BEARER).status_code == 200
    dispose(app)


@pytest.mark.parametrize("folder", ["", "/no/such/folder"])
def test_a_folder_that_is_none_is_refused_in_one_line(folder: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "webapp", tmp_path / "webapp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "wsgi.py", tmp_path)
    ended = command_in(tmp_path, SECRET_KEY=SECRET_KEY, METRICS_TOKEN=TOKEN, PROMETHEUS_MULTIPROC_DIR=folder)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "Callboard cannot start. PROMETHEUS_MULTIPROC_DIR must name a folder that exists, or not be set at all.\n"
    )


# --- requests ----------------------------------------------------------------------------------------------------


def test_a_request_is_counted_by_endpoint_method_and_class_of_status(
    client: FlaskClient, token: str, counted: Callable[[], Numbers]
) -> None:
    runner = {"Authorization": f"Bearer {token}"}
    client.get("/healthz")
    client.post("/api/v1/jobs", json={"type": "t"}, headers=runner)
    client.post("/api/v1/jobs", json={}, headers=runner)
    changed = counted()
    requests = {name: value for name, value in changed.items() if name.startswith("requests_total")}
    assert requests == {
        "requests_total endpoint=health.show_liveness method=GET status=2xx": 1,
        "requests_total endpoint=api.enqueue_job method=POST status=2xx": 1,
        "requests_total endpoint=api.enqueue_job method=POST status=4xx": 1,
    }
    assert changed["request_duration_seconds_count endpoint=api.enqueue_job"] == 2
    assert changed["request_duration_seconds_bucket endpoint=api.enqueue_job le=+Inf"] == 2
    assert 0 < changed["request_duration_seconds_sum endpoint=api.enqueue_job"] < 20


def test_whatever_strangers_type_makes_no_series_of_its_own(
    client: FlaskClient, counted: Callable[[], Numbers]
) -> None:
    for number in range(5):
        client.get(f"/nothing/{number}")
        client.open("/healthz", method=f"ODD{number}")
    requests = {name: value for name, value in counted().items() if name.startswith("requests_total")}
    assert requests == {
        "requests_total endpoint=none method=GET status=4xx": 5,
        "requests_total endpoint=none method=other status=4xx": 5,
    }


def test_a_failure_of_ours_is_counted_as_one(
    client: FlaskClient, counted: Callable[[], Numbers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.core.database.migrations.get_schema_state", lambda _: 1 / 0)
    client.get("/readyz")
    assert counted()["requests_total endpoint=health.show_readiness method=GET status=5xx"] == 1


def test_polls_are_counted_by_whether_anything_was_new(
    client: FlaskClient, cast: Cast, counted: Callable[[], Numbers]
) -> None:
    sign_in(client, "ben@example.com")
    counted()
    etag = client.get("/w/acme/jobs/table", headers={"HX-Request": "true"}).headers["ETag"]
    for _ in range(3):
        assert client.get("/w/acme/jobs/table", headers={"If-None-Match": etag}).status_code == 304
    client.get("/w/acme/jobs")
    polls = {name: value for name, value in counted().items() if name.startswith("polls")}
    assert polls == {"polls_total status=200": 1, "polls_total status=304": 3}


# --- jobs --------------------------------------------------------------------------------------------------------


def test_every_series_of_jobs_is_there_before_anything_happens(client: FlaskClient) -> None:
    shown = numbers(client.get("/metrics", headers=BEARER).text)
    for name in (
        "jobs_created_total by=token",
        "jobs_moved_total to=canceled",
        "jobs_failed_total reason=lost",
        "job_updates_total outcome=illegal_transition",
        "webhook_attempts_total outcome=given_up",
    ):
        assert name in shown


def test_jobs_are_counted_by_what_created_them(core: Flask, cast: Cast, counted: Callable[[], Numbers]) -> None:
    for by in (RUNNER, RUNNER, OPERATOR):
        jobs.enqueue_job("generate-report", cast.acme.id, by=by)
    jobs.enqueue_job("generate-report", None)
    with pytest.raises(Invalid):
        jobs.enqueue_job("", cast.acme.id)
    with pytest.raises(NotFound):
        jobs.enqueue_job("generate-report", NOBODY)
    assert without_requests(counted()) == {
        "jobs_created_total by=token": 2,
        "jobs_created_total by=user": 1,
        "jobs_created_total by=system": 1,
    }


STEPS: tuple[tuple[str, dict[str, object], str, tuple[str, ...]], ...] = (
    ("pending", {"status": "running"}, "moved", ("jobs_moved_total to=running",)),
    ("running", {"status": "completed"}, "moved", ("jobs_moved_total to=completed",)),
    ("running", {"status": "failed"}, "moved", ("jobs_moved_total to=failed", "jobs_failed_total reason=error")),
    ("running", {"status": "canceled"}, "moved", ("jobs_moved_total to=canceled",)),
    ("running", {"progress": 40}, "noted", ()),
    ("running", {}, "noted", ()),
    ("completed", {"status": "completed"}, "repeated", ()),
    ("completed", {"status": "failed"}, "illegal_transition", ()),
    ("canceled", {"progress": 40}, "job_canceled", ()),
    ("canceled", {"status": "canceled"}, "noted", ()),
    ("timed_out", {"progress": 40}, "job_timed_out", ()),
    ("lost", {"progress": 40}, "moved", ("jobs_moved_total to=running",)),
    (
        "lost",
        {"status": "failed"},
        "moved",
        ("jobs_moved_total to=running", "jobs_moved_total to=failed", "jobs_failed_total reason=error"),
    ),
)


@pytest.mark.parametrize("batched", [False, True], ids=["alone", "in a batch"])
@pytest.mark.parametrize(("state", "report", "outcome", "moves"), STEPS)
def test_a_status_update_is_counted_once_by_its_outcome(
    core: Flask,
    cast: Cast,
    counted: Callable[[], Numbers],
    state: str,
    report: dict[str, object],
    outcome: str,
    moves: tuple[str, ...],
    batched: bool,
) -> None:
    job = job_in(state, cast.acme)
    counted()
    if batched:
        sent = BatchedReport.parse({"id": str(job.id)} | report)
        jobs.apply_reports(cast.acme.id, [sent], by=RUNNER)
    else:
        with suppress(Conflict):
            jobs.apply_report(job.id, Report.parse(report), within=cast.acme.id, by=RUNNER)
    assert without_requests(counted()) == {f"job_updates_total outcome={outcome}": 1} | dict.fromkeys(moves, 1)


def test_an_update_of_no_job_is_counted(core: Flask, cast: Cast, counted: Callable[[], Numbers]) -> None:
    with pytest.raises(NotFound):
        jobs.update_job_status(NOBODY, progress=40, within=cast.acme.id)
    sent = BatchedReport.parse({"id": str(NOBODY), "progress": 40})
    jobs.apply_reports(cast.acme.id, [sent], by=RUNNER)
    assert without_requests(counted()) == {"job_updates_total outcome=not_found": 2}


def test_cancels_of_one_and_of_many_are_moves(core: Flask, cast: Cast, counted: Callable[[], Numbers]) -> None:
    first, second, done = (job_in(state, cast.acme) for state in ("running", "pending", "completed"))
    counted()
    jobs.cancel_job(first.id, by=OPERATOR)
    jobs.cancel_jobs(cast.acme.id, [first.id, second.id, done.id], by=OPERATOR)
    assert without_requests(counted()) == {"jobs_moved_total to=canceled": 2}


@pytest.fixture
def no_history(core: Flask) -> Iterator[None]:
    """No line of history can be written: whatever changes a job fails in the middle."""
    db.session.commit()
    with db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE job_events RENAME TO no_events")
    yield
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE no_events RENAME TO job_events")


def test_what_is_rolled_back_is_not_counted(
    core: Flask, cast: Cast, counted: Callable[[], Numbers], request: pytest.FixtureRequest
) -> None:
    job = job_in("running", cast.acme)
    request.getfixturevalue("no_history")
    counted()
    sent = BatchedReport.parse({"id": str(job.id), "status": "completed"})
    for act in (
        lambda: jobs.enqueue_job("t", cast.acme.id),
        lambda: jobs.update_job_status(job.id, status="completed"),
        lambda: jobs.apply_reports(cast.acme.id, [sent], by=RUNNER),
        lambda: jobs.cancel_job(job.id),
        lambda: jobs.cancel_jobs(cast.acme.id, [job.id], by=OPERATOR),
    ):
        with pytest.raises(DBAPIError):
            act()
    assert without_requests(counted()) == {}
    assert (jobs.get_job_status(job.id).status, jobs.get_job_status(job.id).version) == ("running", job.version)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(JobRun)) == 1


def test_what_the_board_itself_fails_is_counted_by_why(
    core: Flask, cast: Cast, clock: Clock, counted: Callable[[], Numbers]
) -> None:
    liveness.record_server_heartbeat()
    for silent, limit in ((60, None), (60, None), (None, 60)):
        job_id = jobs.enqueue_job("t", cast.acme.id, heartbeat_timeout=silent, max_duration=limit)
        jobs.update_job_status(job_id, status="running")
    counted()
    for _ in range(40):
        clock.advance(seconds=2)
        liveness.record_server_heartbeat()
    liveness.sweep()
    assert without_requests(counted()) == {
        "jobs_moved_total to=failed": 3,
        "jobs_failed_total reason=lost": 2,
        "jobs_failed_total reason=timed_out": 1,
    }


# --- the board's own work ----------------------------------------------------------------------------------------


def test_attempts_to_call_webhooks_are_counted_by_outcome(
    core: Flask, cast: Cast, clock: Clock, counted: Callable[[], Numbers]
) -> None:
    with receiver() as hooks:
        endpoints.create(
            workspaces.get_membership("acme", cast.ada.id),
            hooks.url,
            tuple(WebhookEvent),
            outbound=outbound(),
            by=OPERATOR,
        )
        job_in("completed", cast.acme)
        counted()
        for status in (500, 200):
            hooks.status = status
            sender.send_due(outbound(), lambda: True)
            clock.advance(seconds=10)
        assert counted() == {
            "webhook_attempts_total outcome=failed": 1,
            "webhook_attempts_total outcome=delivered": 1,
        }
        job_in("canceled", cast.acme)
        hooks.status = 410
        sender.send_due(outbound(), lambda: True)
        assert counted()["webhook_attempts_total outcome=given_up"] == 1


def test_each_chore_tells_how_often_and_when_it_was_done(
    app: Flask, clock: Clock, counted: Callable[[], Numbers]
) -> None:
    stop = threading.Event()

    def fail(_: Callable[[], bool]) -> str:
        stop.set()
        raise RuntimeError("no such luck")

    def succeed(_: Callable[[], bool]) -> str:
        stop.set()
        return "done"

    maintain.run_chores([Chore("good", timedelta(seconds=1), succeed)], app, stop)
    stop.clear()
    maintain.run_chores([Chore("bad", timedelta(seconds=1), fail)], app, stop)
    shown = numbers(app.test_client().get("/metrics", headers=BEARER).text)
    assert shown["chore_last_done_timestamp_seconds chore=good"] == clock.moment.timestamp()
    assert "chore_last_done_timestamp_seconds chore=bad" not in shown
    changed = counted()
    assert changed["chore_runs_total chore=good outcome=done"] == 1
    assert changed["chore_runs_total chore=bad outcome=failed"] == 1
    assert "chore_runs_total chore=bad outcome=done" in shown


def test_no_series_names_a_workspace_a_token_a_type_or_a_person(
    app: Flask, client: FlaskClient, cast: Cast, token: str
) -> None:
    with app.app_context():
        job = job_in("running", cast.acme)
        [known] = tokens.list_tokens(cast.acme.id)
    runner = {"Authorization": f"Bearer {token}"}
    client.patch(f"/api/v1/jobs/{job.id}", json={"progress": 1, "message": "secret"}, headers=runner)
    client.post("/api/v1/jobs/batch", json={"data": [{"id": str(job.id), "status": "completed"}]}, headers=runner)
    sign_in(client, "ben@example.com")
    for address in ("/w/acme/jobs", f"/w/acme/jobs/{job.id}/panel", "/w/other/jobs", "/invitations/secret"):
        client.get(address)
    shown = client.get("/metrics", headers=BEARER).text
    names = ("acme", "other/", "generate-report", "ben", "secret", TOKEN)
    for name in (*names, str(cast.acme.id), str(job.id), str(known.id), known.public_id, cast.ben.ref):
        assert name not in shown, name
    labels = {label for family in text_string_to_metric_families(shown) for s in family.samples for label in s.labels}
    assert labels <= {"by", "to", "reason", "outcome", "endpoint", "method", "status", "le", "chore", "process"}


# --- several processes -------------------------------------------------------------------------------------------


def environment(process_id: int) -> Mapping[str, str]:
    lines = Path(f"/proc/{process_id}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


@on_linux
def test_what_workers_and_chores_count_adds_up_and_outlives_them(
    url: str, app: Flask, cast: Cast, token: str, port: int, tmp_path: Path
) -> None:
    log = tmp_path / "serve.log"
    address = f"http://127.0.0.1:{port}"
    runner = {"Authorization": f"Bearer {token}"}
    with app.app_context():
        jobs.update_job_status(jobs.enqueue_job("t", cast.acme.id, max_duration=1), status="running")

    def shown() -> Numbers:
        answer = httpx.get(f"{address}/metrics", headers=BEARER)
        assert answer.status_code == 200, answer.text
        return numbers(answer.text)

    def create(count: int) -> None:
        for _ in range(count):
            # A connection each, so that whichever worker is free takes it.
            assert httpx.post(f"{address}/api/v1/jobs", json={"type": "t"}, headers=runner).status_code == 201

    with serve(url, port, tmp_path, WORKERS="2", METRICS_TOKEN=TOKEN, TMPDIR=str(tmp_path)) as process:
        try:
            wait_until_it_serves(process, log)
            [server] = [child for child in children(process.pid) if "webapp.gateway" in command_line(child)]
            folder = Path(environment(server)["PROMETHEUS_MULTIPROC_DIR"])
            workers = children(server)
            wait_until(lambda: len(list(folder.glob("counter_*.db"))) >= 3, explain=log.read_text)
            create(20)
            for _ in range(5):
                assert shown()["jobs_created_total by=token"] == 20
            wait_until(lambda: shown()["jobs_failed_total reason=timed_out"] == 1, explain=log.read_text)
            assert shown()["chore_last_done_timestamp_seconds chore=liveness"] > 1_700_000_000
            # What a worker leaves behind that is killed before it has counted anything.
            (folder / "counter_999999999.db").touch()
            os.kill(workers[0], signal.SIGKILL)
            wait_until(lambda: len(set(children(server)) - {workers[0]}) == 2, explain=log.read_text)
            assert shown()["jobs_created_total by=token"] == 20
            create(5)
            assert shown()["jobs_created_total by=token"] == 25
        finally:
            process.terminate()
        assert process.wait(30) == 0
    assert not folder.exists()
