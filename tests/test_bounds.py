"""Every answer has a bound: each address is asked of a workspace in which everything is as large as it may be.

Names and texts are of the letters that take most in an answer. An address that is new is walked by itself.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.support.apps import SECRET_KEY
from tests.support.jobs import OPERATOR, RUNNER, add_events
from tests.support.pages import sign_in
from tests.support.people import Cast
from webapp import downloads
from webapp.core import clock, jobs
from webapp.core.accounts import resets, verification
from webapp.core.accounts.attempts import Visitor
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs import logs
from webapp.core.jobs.inputs import NewLines
from webapp.core.models import Role, job_runs, new_id, webhook_deliveries
from webapp.core.webhooks import endpoints, outbox
from webapp.core.workspaces import invitations, members, tokens, workspaces
from webapp.extensions import outbound

KB = 1000
MB = 1000 * KB

BOUNDS = {
    # One job, with a payload and a result of 256 KiB each and an error of 64 KiB of which each letter is an escape.
    "/api/v1/jobs/<uuid:job_id>": 1 * MB,
    # 1 MiB of errors, and 100 jobs whose names, message, tags and link are as long as they may be.
    "/api/v1/jobs": 3 * MB,
    # 500 events with their messages.
    "/api/v1/jobs/<uuid:job_id>/events": 2 * MB,
    # 1 MiB of text, and 1,000 lines around it.
    "/api/v1/jobs/<uuid:job_id>/logs": 1.2 * MB,
    # Files: all that is kept of a log; of the jobs that match at most 1 GiB.
    "/api/v1/jobs/<uuid:job_id>/logs.txt": 5 * MB,
    "/w/<slug>/jobs/<uuid:job_id>/log.txt": 5 * MB,
    "/w/<slug>/jobs.csv": downloads.MAX_SIZE,
    "/w/<slug>/jobs.ndjson": downloads.MAX_SIZE,
    # The list names 200 types to choose from, each of 200 letters.
    "/w/<slug>/jobs": 1 * MB,
    # An error of 64 KiB is shown whole; in letters that HTML escapes it is five times as long.
    "/w/<slug>/jobs/<uuid:job_id>": 1.3 * MB,
    "/w/<slug>/jobs/<uuid:job_id>/panel": 0.8 * MB,
}
"""What the largest answers may take. Any other has at most ``DEFAULT``."""
DEFAULT = 700 * KB

WIDE = "&"
"""A letter that HTML writes with five."""


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """What is stored is the same on every engine."""
    return str(request.param)


def fill(cast: Cast) -> dict[str, Any]:
    """Let acme have as much of everything as it may; return what stands for the parts of an address."""
    deep: Any = [0] * 120_000
    for _ in range(96):
        deep = [deep]
    first = jobs.enqueue_job("t", cast.acme.id, {"deep": deep}, by=RUNNER)
    jobs.update_job_status(first, status="running", result={"text": WIDE * 262_000}, by=RUNNER)
    message, lines = WIDE * 500, [{"text": "\x1b" * 16_000}] * 60
    jobs.update_job_status(first, status="failed", error=WIDE * 65_000, message=message, by=RUNNER)
    logs.append(first, NewLines.parse({"lines": lines}), within=None)
    logs.append(first, NewLines.parse({"lines": [{"text": WIDE * 120}] * 500}), within=None)
    add_events(first, 3_000)
    with write_transaction() as session:
        session.execute(sa.update(job_runs).values(link=f"https://a.example/{'b' * 1900}", runner=WIDE * 200))
        template = session.execute(sa.select(job_runs).where(job_runs.c.id == first)).one()._asdict()
        others = {"payload": None, "result": None, "error_group": None}
        rows = [
            template
            | others
            | {
                "id": new_id(clock.now()),
                "type": f"{number:03}{WIDE * 197}",
                "error": "\x01" * (65_000 if number >= 200 else 500),
                "message": WIDE * 500,
                "tags": [f"{tag:02}{WIDE * 62}" for tag in range(20)],
                "parent_id": first,
            }
            for number in range(210)
        ]
        session.execute(sa.insert(job_runs), rows)
    ada = workspaces.get_membership("acme", cast.ada.id)
    # Somebody who can be made a member again.
    members.change_role(ada, cast.ben.id, Role.ADMIN, by=OPERATOR)
    for number in range(20):
        address = f"https://hooks.example.com/{number:02}{'&' * 1900}"
        endpoint = endpoints.create(ada, address, ["job.failed"], outbound=outbound(), by=OPERATOR)
    body = outbox.message_body("job.failed", clock.now(), {"text": WIDE * 600_000})
    deliveries = [outbox.delivery_row(endpoint.id, "job.failed", body, clock.now()) for _ in range(40)]
    with write_transaction() as session:
        session.execute(sa.insert(webhook_deliveries), deliveries)
    for number in range(30):
        _, secret = invitations.create(ada, f"{'a' * 50}{number}@example.com", Role.MEMBER, by=OPERATOR)
    reset = resets.request_reset("ben@example.com", Visitor("192.0.2.1", None))
    assert reset
    for number in range(50):
        token, _ = tokens.create_unchecked(cast.acme.id, f"{number:03}{WIDE * 97}", by=OPERATOR)
    return {
        "slug": "acme",
        "job_id": first,
        "name": "result",
        "runner": "python",
        "user_id": cast.ben.id,
        "token_id": token.id,
        "webhook_id": endpoint.id,
        "delivery_id": deliveries[0]["id"],
        "secret": secret,
        "reset_secret": reset.secret,
        "verification_secret": verification.request_link(cast.ada, SECRET_KEY, by=OPERATOR),
        "filename": "css/layout.css",
    }


def addresses(app: Flask, known: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every rule that may be read, and an address of it."""
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.rule.startswith("/static"):
            built = rule.build(known, append_unknown=False)
            assert built, rule
            yield rule.rule, built[1]


def test_every_answer_has_a_bound(app: Flask, cast: Cast, client: FlaskClient, token: str) -> None:
    with app.app_context():
        known = fill(cast)
    sign_in(client, "ada@example.com")
    sizes = {}
    for rule, address in addresses(app, known):
        if rule == "/api/v1/jobs":
            address += "?limit=100"
        runner = {"Authorization": f"Bearer {token}"} if rule.startswith("/api/v1") else {}
        with client.get(address, headers=runner) as answer:
            assert answer.status_code < 400 or rule.endswith(("/leave", "/metrics")), (rule, answer.status_code)
            sizes[rule] = len(answer.data)
    too_large = {rule: size for rule, size in sizes.items() if size > BOUNDS.get(rule, DEFAULT)}
    assert too_large == {}


def test_a_batch_and_a_refusal_have_a_bound(app: Flask, cast: Cast, client: FlaskClient, token: str) -> None:
    with app.app_context():
        largest = jobs.list_children(jobs.get_job_status(fill(cast)["job_id"])).jobs[0].id
    runner = {"Authorization": f"Bearer {token}"}
    batch = client.post(
        "/api/v1/jobs/batch", json={"data": [{"id": str(largest), "progress": 5}] * 500}, headers=runner
    )
    assert {answer["status"] for answer in (batch.json or {})["data"]} == {409}
    assert len(batch.data) < 10 * MB
    refusal = client.patch(f"/api/v1/jobs/{largest}", json={"progress": 5}, headers=runner)
    assert (refusal.status_code, len(refusal.data) < 2 * MB) == (409, True)
