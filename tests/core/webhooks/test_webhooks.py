"""Webhooks: the workspace's endpoints, the outbox, what is sent and signed, retries, redelivery, giving up."""

import json
import re
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from standardwebhooks.webhooks import WebhookVerificationError

from tests.support.apps import dispose, make_app
from tests.support.clock import Clock
from tests.support.concurrency import at_once
from tests.support.jobs import OPERATOR, RUNNER, job_in
from tests.support.people import Cast
from tests.support.receiver import Receiver, receiver
from tests.support.webhooks import EVERYTHING, PRIVATE, exhaust, list_deliveries, send
from webapp.core import jobs
from webapp.core.audit import SYSTEM
from webapp.core.chores.schedule import list_chores
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import Conflict, Forbidden, Invalid, NotFound
from webapp.core.job_json import job_json
from webapp.core.jobs.inputs import BatchedReport
from webapp.core.lifecycle import EventKind, FailureReason, HistoryEvent, JobStatus
from webapp.core.limits import limits
from webapp.core.models import (
    AuditEntry,
    DeliveryState,
    JobRun,
    JobSnapshot,
    Membership,
    Role,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from webapp.core.webhooks import attempts, endpoints, history, outbox, sender
from webapp.core.webhooks.attempts import BACKOFF, CLAIM, JITTER, Outcome
from webapp.core.webhooks.outbound import Answer, Outbound
from webapp.core.webhooks.places import FAILING, WORKING
from webapp.core.webhooks.sender import SendResult
from webapp.core.workspaces import members, workspaces
from webapp.extensions import outbound


@pytest.fixture
def settings() -> Mapping[str, str]:
    return PRIVATE


@pytest.fixture
def ada(core: Flask, cast: Cast) -> Membership:
    """Ada, as the owner of acme."""
    return workspaces.get_membership("acme", cast.ada.id)


@pytest.fixture
def endpoint(ada: Membership, hooks: Receiver) -> WebhookEndpoint:
    """An endpoint of acme that hears everything."""
    return endpoints.create(ada, hooks.url, EVERYTHING, outbound=outbound(), by=OPERATOR)


def list_attempts() -> list[WebhookAttempt]:
    db.session.commit()
    return list(db.session.scalars(sa.select(WebhookAttempt).order_by(WebhookAttempt.id)))


def again(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The endpoint as it stands now."""
    return endpoints.get(endpoint.workspace_id, endpoint.id)


DELIVERED = Answer(200, "", None, 1)
FAILED = Answer(500, "", None, 1)


def audited(verb: str) -> list[AuditEntry]:
    return list(db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == f"webhook.{verb}")))


# --- endpoints ---------------------------------------------------------------------------------------------------


def test_an_endpoint_is_made_changed_and_deleted_and_the_audit_log_tells_by_whom(ada: Membership, cast: Cast) -> None:
    made = endpoints.create(
        ada, " https://hooks.example.com/in ", ["job.lost", "job.failed"], outbound=outbound(), by=OPERATOR
    )
    assert (made.url, made.events) == ("https://hooks.example.com/in", ["job.failed", "job.lost"])
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made.secret)
    secret = made.secret
    changed = endpoints.update(
        ada, made.id, "https://hooks.example.com/other", ["job.lost"], outbound=outbound(), by=OPERATOR
    )
    assert (changed.url, changed.events) == ("https://hooks.example.com/other", ["job.lost"])
    assert changed.secret != secret
    endpoints.update(ada, made.id, "https://hooks.example.com/other", ["job.lost"], outbound=outbound(), by=OPERATOR)
    endpoints.delete(ada, made.id, by=OPERATOR)
    assert endpoints.list_endpoints(cast.acme.id) == []
    for verb in ("created", "changed", "deleted"):
        [entry] = audited(verb)
        assert (entry.actor, entry.resource) == (OPERATOR.ref, f"webhook:{made.id}")
        assert secret not in json.dumps(entry.detail)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "hooks.example.com",
        "ftp://hooks.example.com",
        "file:///etc/passwd",
        "https://",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\x00",
        "https://hooks.example.com/ü",
        "https://ada:secret@hooks.example.com/",
        "https://hooks.example.com/#here",
        "https://hooks.example.com/" + "x" * 2000,
    ],
)
def test_an_address_that_cannot_be_called_is_refused(ada: Membership, address: str) -> None:
    with pytest.raises(Invalid) as refused:
        endpoints.create(ada, address, EVERYTHING, outbound=outbound(), by=OPERATOR)
    assert [fault.path for fault in refused.value.faults] == [("url",)]


def test_an_address_inside_the_boards_own_network_is_not_even_saved(
    core: Flask, ada: Membership, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(core.extensions, "outbound", Outbound("Callboard/test", allow_private=False))
    before = endpoint.url
    for host in ("127.0.0.1", "0", "2130706433", "0x7f.1", "localhost:8000", "[::ffff:127.0.0.1]", "169.254.169.254"):
        for save in (endpoints.create, partial(endpoints.update, endpoint_id=endpoint.id)):
            with pytest.raises(Invalid) as refused:
                save(ada, url=f"http://{host}/", events=EVERYTHING, outbound=outbound(), by=OPERATOR)
            [fault] = refused.value.faults
            assert fault.path == ("url",)
            assert fault.detail.startswith("A public address: this one leads into a private network")
    assert [kept.url for kept in endpoints.list_endpoints(ada.workspace_id)] == [before]


@pytest.mark.parametrize("events", [[], ["job.started"], ["job.lost", "ping"]])
def test_events_that_do_not_exist_and_none_at_all_are_refused(ada: Membership, events: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        endpoints.create(ada, "https://hooks.example.com", events, outbound=outbound(), by=OPERATOR)
    assert [fault.path for fault in refused.value.faults] == [("events",)]


def test_a_workspace_has_at_most_twenty_endpoints(ada: Membership, cast: Cast) -> None:
    for _ in range(limits.WEBHOOKS.default):
        endpoints.create(ada, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=OPERATOR)
    with pytest.raises(Conflict) as refused:
        endpoints.create(ada, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=OPERATOR)
    assert refused.value.code == "too_many"
    assert len(endpoints.list_endpoints(cast.acme.id)) == limits.WEBHOOKS.default


def test_a_member_may_do_nothing_with_webhooks(endpoint: WebhookEndpoint, cast: Cast) -> None:
    ben = workspaces.get_membership("acme", cast.ben.id)
    job_in("completed", cast.acme)
    [message] = list_deliveries()
    for act in (
        lambda: endpoints.create(ben, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=OPERATOR),
        lambda: endpoints.update(
            ben, endpoint.id, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=OPERATOR
        ),
        lambda: endpoints.enable(ben, endpoint.id, by=OPERATOR),
        lambda: endpoints.delete(ben, endpoint.id, by=OPERATOR),
        lambda: history.redeliver(ben, endpoint.id, message.id, by=OPERATOR),
        lambda: history.redeliver_failed(ben, endpoint.id, message.created_at, by=OPERATOR),
        lambda: history.ping(ben, endpoint.id, by=OPERATOR),
    ):
        with pytest.raises(Forbidden):
            act()
    assert len(list_deliveries()) == 1


def test_an_endpoint_of_another_workspace_is_not_found(endpoint: WebhookEndpoint, cast: Cast) -> None:
    cleo = workspaces.get_membership("other", cast.cleo.id)
    job_in("completed", cast.acme)
    [message] = list_deliveries()
    for act in (
        lambda: endpoints.get(cast.other.id, endpoint.id),
        lambda: endpoints.update(
            cleo, endpoint.id, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=OPERATOR
        ),
        lambda: endpoints.enable(cleo, endpoint.id, by=OPERATOR),
        lambda: endpoints.delete(cleo, endpoint.id, by=OPERATOR),
        lambda: history.redeliver(cleo, endpoint.id, message.id, by=OPERATOR),
        lambda: history.redeliver_failed(cleo, endpoint.id, message.created_at, by=OPERATOR),
        lambda: history.ping(cleo, endpoint.id, by=OPERATOR),
    ):
        with pytest.raises(NotFound):
            act()
    assert again(endpoint).url == endpoint.url


def test_an_admin_may_do_what_the_owner_may(ada: Membership, cast: Cast) -> None:
    members.add_unchecked(cast.acme, cast.cleo, Role.ADMIN, by=SYSTEM)
    cleo = workspaces.get_membership("acme", cast.cleo.id)
    assert (
        endpoints.create(cleo, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=OPERATOR).workspace_id
        == cast.acme.id
    )


# --- the outbox --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "event"),
    [
        ("pending", None),
        ("running", None),
        ("completed", "job.completed"),
        ("failed", "job.failed"),
        ("timed_out", "job.failed"),
        ("lost", "job.lost"),
        ("canceled", "job.canceled"),
    ],
)
def test_the_end_of_a_job_is_put_down_once_and_nothing_else_is(
    state: str, event: str | None, endpoint: WebhookEndpoint, cast: Cast
) -> None:
    job = job_in(state, cast.acme)
    assert [(message.event, message.job_id) for message in list_deliveries()] == ([(event, job.id)] if event else [])


def test_a_message_is_the_record_as_reports_are_answered_at_the_moment_of_the_end(
    endpoint: WebhookEndpoint, cast: Cast
) -> None:
    job_id = jobs.enqueue_job("report", cast.acme.id, {"month": "2026-10"}, tags=["nightly"], by=RUNNER)
    jobs.update_job_status(job_id, status="running", by=RUNNER)
    job = jobs.update_job_status(job_id, status="completed", result={"pages": "zehn – 十"}, by=RUNNER)
    record = job_json(job, without=("payload",))
    [message] = list_deliveries()
    assert json.loads(message.body) == {
        "type": "job.completed",
        "timestamp": record["completed_at"],
        "data": record,
    }
    assert "payload" not in record


def test_a_job_that_runs_on_after_it_was_lost_is_told_of_again_when_it_ends(
    endpoint: WebhookEndpoint, cast: Cast
) -> None:
    job = job_in("lost", cast.acme)
    jobs.update_job_status(job.id, status="completed", by=RUNNER)
    assert [message.event for message in list_deliveries()] == ["job.lost", "job.completed"]


def lose(job: JobRun) -> None:
    assert jobs.fail_overdue(jobs.get_job_status(job.id), FailureReason.LOST, "no news")


def test_a_job_that_is_lost_and_found_again_and_again_is_one_message(
    endpoint: WebhookEndpoint, cast: Cast, clock: Clock
) -> None:
    job = job_in("running", cast.acme)
    for _ in range(20):
        clock.advance(seconds=13)
        lose(job)
        clock.advance(seconds=1)
        jobs.update_job_status(job.id, progress=5, by=RUNNER)
    assert [message.event for message in list_deliveries()] == ["job.lost"]
    jobs.update_job_status(job.id, status="completed", by=RUNNER)
    assert [message.event for message in list_deliveries()] == ["job.lost", "job.completed"]


def test_that_a_job_stays_lost_which_was_lost_before_is_sent_ten_minutes_later(
    endpoint: WebhookEndpoint, cast: Cast, clock: Clock
) -> None:
    job = job_in("lost", cast.acme)
    jobs.update_job_status(job.id, progress=5, by=RUNNER)
    clock.advance(seconds=60)
    lose(job)
    first, again = list_deliveries()
    assert (first.event, again.event) == ("job.lost", "job.lost")
    assert (first.due_at, again.due_at) == (first.created_at, clock.moment + timedelta(minutes=10))


def test_a_job_that_is_lost_again_after_an_hour_is_told_of_at_once(
    endpoint: WebhookEndpoint, cast: Cast, clock: Clock
) -> None:
    job = job_in("lost", cast.acme)
    jobs.update_job_status(job.id, progress=5, by=RUNNER)
    clock.advance(minutes=61)
    lose(job)
    assert [message.due_at for message in list_deliveries()][-1] == clock.moment
    # What is due is sent, whatever comes after it.
    jobs.update_job_status(job.id, progress=6, by=RUNNER)
    assert len(list_deliveries()) == 2


def test_a_batch_and_a_cancel_of_several_put_down_each_end(endpoint: WebhookEndpoint, cast: Cast) -> None:
    ids = [job_in("running", cast.acme).id for _ in range(4)]
    said: list[dict[str, Any]] = [
        {"status": "completed"},
        {"progress": 5},
        {"status": "failed", "error": "no"},
        {"status": "completed"},
    ]
    reports = [BatchedReport.parse({"id": id} | word) for id, word in zip(ids[:3], said, strict=False)]
    again = BatchedReport.parse({"id": ids[0], "status": "completed"})
    jobs.apply_reports(cast.acme.id, [*reports, again], by=RUNNER)
    jobs.cancel_jobs(cast.acme.id, ids, by=OPERATOR)
    messages = {(message.job_id, message.event) for message in list_deliveries()}
    assert messages == {
        (ids[0], "job.completed"),
        (ids[2], "job.failed"),
        (ids[1], "job.canceled"),
        (ids[3], "job.canceled"),
    }
    assert len(list_deliveries()) == 4


def test_each_endpoint_hears_what_it_asked_for_and_none_hears_of_another_workspace(ada: Membership, cast: Cast) -> None:
    failures = endpoints.create(
        ada, "https://one.example", ["job.failed", "job.lost"], outbound=outbound(), by=OPERATOR
    )
    ends = endpoints.create(
        ada, "https://two.example", ["job.completed", "job.failed"], outbound=outbound(), by=OPERATOR
    )
    cleo = workspaces.get_membership("other", cast.cleo.id)
    endpoints.create(cleo, "https://three.example", EVERYTHING, outbound=outbound(), by=OPERATOR)
    for state in ("completed", "failed", "canceled"):
        job_in(state, cast.acme)
    pairs = [(message.endpoint_id, message.event) for message in list_deliveries()]
    assert sorted(pairs) == sorted([(ends.id, "job.completed"), (failures.id, "job.failed"), (ends.id, "job.failed")])


def test_a_job_without_a_workspace_is_nobodys_news(endpoint: WebhookEndpoint) -> None:
    jobs.cancel_job(jobs.enqueue_job("alone", None))
    assert list_deliveries() == []


def test_the_message_and_the_change_of_the_job_stand_or_fall_together(
    endpoint: WebhookEndpoint, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in("running", cast.acme)
    announce = outbox.enqueue_deliveries

    def announce_and_break(*args: Any) -> None:
        announce(*args)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(WebhookDelivery)) == 1
        raise RuntimeError("the power fails")

    monkeypatch.setattr(outbox, "enqueue_deliveries", announce_and_break)
    with pytest.raises(RuntimeError):
        jobs.cancel_job(job.id, by=OPERATOR)
    assert jobs.get_job_status(job.id).status == "running"
    assert list_deliveries() == []


class listening_to:
    """Collects the statements that the database is sent."""

    def __init__(self, statements: list[str]) -> None:
        self._statements = statements

    def _hear(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self._statements.append(statement)

    def __enter__(self) -> None:
        sa.event.listen(db.engine, "before_cursor_execute", self._hear)

    def __exit__(self, *error: object) -> None:
        sa.event.remove(db.engine, "before_cursor_execute", self._hear)


def test_a_workspace_without_endpoints_pays_nothing_beside_the_move(core: Flask, cast: Cast) -> None:
    job = job_in("pending", cast.acme)
    statements: list[str] = []
    with listening_to(statements):
        jobs.update_job_status(job.id, status="running", by=RUNNER)
        jobs.update_job_status(job.id, status="completed", by=RUNNER)
    # A move that is one prepared statement is not heard here: whatever is, came on top.
    assert statements == []


def test_deleting_a_webhook_at_the_moment_a_job_ends_harms_neither(
    app: Flask, endpoint: WebhookEndpoint, ada: Membership, cast: Cast
) -> None:
    ids = [job_in("running", cast.acme).id for _ in range(4)]
    db.session.remove()
    begin = threading.Barrier(len(ids) + 1)

    def end(job_id: uuid.UUID) -> str:
        with app.app_context():
            begin.wait()
            return jobs.update_job_status(job_id, status="completed", by=RUNNER).status

    def delete() -> str:
        with app.app_context():
            member = workspaces.get_membership("acme", cast.ada.id)
            begin.wait()
            endpoints.delete(member, endpoint.id, by=OPERATOR)
            return "deleted"

    with ThreadPoolExecutor(len(ids) + 1) as racers:
        races = [racers.submit(delete), *(racers.submit(end, job_id) for job_id in ids)]
        assert [race.result() for race in races] == ["deleted", *["completed"] * len(ids)]
    assert list_deliveries() == []


def test_what_is_told_of_two_workspaces_reaches_each_its_own(ada: Membership, cast: Cast) -> None:
    cleo = workspaces.get_membership("other", cast.cleo.id)
    ours = endpoints.create(ada, "https://one.example", EVERYTHING, outbound=outbound(), by=OPERATOR)
    theirs = endpoints.create(cleo, "https://two.example", EVERYTHING, outbound=outbound(), by=OPERATOR)
    ends = [job_in("running", workspace) for workspace in (cast.acme, cast.other)]
    rows = [JobSnapshot(**{name: getattr(job, name) for name in JobSnapshot._fields}) for job in ends]
    happenings = [(row, HistoryEvent(EventKind.MOVED, row.created_at, to_status=JobStatus.COMPLETED)) for row in rows]
    with write_transaction() as session:
        outbox.enqueue_deliveries(session, happenings)
    assert {(message.endpoint_id, message.job_id) for message in list_deliveries()} == {
        (ours.id, ends[0].id),
        (theirs.id, ends[1].id),
    }


# --- what is sent ------------------------------------------------------------------------------------------------


def test_a_message_arrives_signed_as_the_standard_says(endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast) -> None:
    job = job_in("completed", cast.acme)
    assert send() == SendResult(attempts=1, delivered=1)
    [post] = hooks.received
    [message] = list_deliveries()
    assert post.path == "/hooks?from=board"
    content = post.verified(endpoint.secret)
    assert content == json.loads(message.body)
    assert (content["type"], post.headers["webhook-id"]) == ("job.completed", str(message.id))
    assert str(job.id) in post.body.decode()
    assert post.headers["content-type"] == "application/json"
    assert post.headers["user-agent"].startswith("Callboard/0.")
    assert post.headers["host"] == f"127.0.0.1:{hooks.port}"


def test_a_signature_by_another_secret_and_a_changed_body_are_found_out(
    endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast
) -> None:
    other = endpoints.create(ada, "https://hooks.example.com", EVERYTHING, outbound=outbound(), by=OPERATOR).secret
    endpoints.delete(ada, endpoints.list_endpoints(cast.acme.id)[1].id, by=OPERATOR)
    job_in("completed", cast.acme)
    send()
    [post] = hooks.received
    with pytest.raises(WebhookVerificationError):
        post.verified(other)
    with pytest.raises(WebhookVerificationError):
        type(post)(post.path, post.headers, post.body.replace(b"completed", b"failed")).verified(endpoint.secret)


def test_what_came_back_is_kept_with_its_status_and_its_time(
    clock: Clock, endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast
) -> None:
    hooks.answer, hooks.delay = b"<b>\0\xff" + b"x" * 5000, 0.05
    job_in("completed", cast.acme)
    sent_at = clock.advance(seconds=3)
    send()
    [attempt] = list_attempts()
    assert (attempt.status, attempt.error, attempt.at) == (200, None, sent_at)
    assert attempt.answer is not None
    assert attempt.answer.startswith("<b>\ufffd\ufffdxxx")
    assert len(attempt.answer) == 2048
    assert 50 <= attempt.duration < 5000
    [message] = list_deliveries()
    assert (message.state, message.attempts, message.due_at) == (DeliveryState.DELIVERED, 1, None)


def test_nothing_is_sent_twice_and_what_is_not_due_is_not_sent(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast
) -> None:
    job_in("completed", cast.acme)
    assert (send().attempts, send().attempts) == (1, 0)
    assert len(hooks.received) == 1


def test_every_2xx_is_a_delivery_and_everything_else_is_none(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast
) -> None:
    for status, delivered in ((204, 1), (202, 1), (301, 0), (307, 0), (400, 0), (404, 0), (500, 0), (503, 0)):
        hooks.status, hooks.answer = status, b""
        job_in("completed", cast.acme)
        assert send().delivered == delivered, status
        assert list_attempts()[-1].status == status


def test_a_ping_is_signed_and_sent_whatever_the_endpoint_listens_to(ada: Membership, hooks: Receiver) -> None:
    endpoint = endpoints.create(ada, hooks.url, ["job.lost"], outbound=outbound(), by=OPERATOR)
    history.ping(ada, endpoint.id, by=OPERATOR)
    assert send().delivered == 1
    content = hooks.received[0].verified(endpoint.secret)
    assert content["type"] == "ping"
    assert len(audited("pinged")) == 1


@pytest.mark.parametrize(("failing", "first"), [(False, WORKING.endpoint), (True, FAILING.endpoint)])
def test_an_endpoint_with_a_long_queue_has_a_few_attempts_at_once_a_failing_one_one(
    failing: bool,
    first: int,
    ada: Membership,
    hooks: Receiver,
    cast: Cast,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []
    post = Outbound.post

    def watched(self: Outbound, url: str, *rest: Any) -> Any:
        called.append(url)
        return post(self, url, *rest)

    with receiver() as slow:
        busy = endpoints.create(ada, slow.url, ["job.completed"], outbound=outbound(), by=OPERATOR)
        endpoints.create(ada, hooks.url, ["job.canceled"], outbound=outbound(), by=OPERATOR)
        if failing:
            slow.status = 500
            history.ping(ada, busy.id, by=OPERATOR)
            send()
            slow.status = 200
        for _ in range(WORKING.total + 2):
            job_in("completed", cast.acme)
        # The last in the queue.
        clock.advance(seconds=1)
        job_in("canceled", cast.acme)
        slow.delay = 0.2
        monkeypatch.setattr(Outbound, "post", watched)
        assert send() == SendResult(WORKING.total + 3, WORKING.total + 3)
    # Threads begin in no fixed order, but the next of the slow ones only after an answer.
    assert hooks.url in called[: first + 1]


def test_what_comes_due_while_another_endpoint_hangs_is_sent_at_once(
    app: Flask, ada: Membership, hooks: Receiver, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LOOK_EVERY", 0.05)
    with receiver() as slow:
        slow.delay = 1
        endpoints.create(ada, slow.url, ["job.completed"], outbound=outbound(), by=OPERATOR)
        endpoints.create(ada, hooks.url, ["job.canceled"], outbound=outbound(), by=OPERATOR)
        job_in("completed", cast.acme)
        counts: list[int] = []

        def go_on() -> bool:
            if not counts:
                job_in("canceled", cast.acme)
            counts.append(len(hooks.received))
            return True

        assert sender.send_due(outbound(), go_on) == SendResult(2, 2)
        # The last look but one was made while the slow one was still busy.
        assert counts[-3] == 1


def test_twenty_hanging_endpoints_of_one_workspace_delay_no_message_of_another(
    ada: Membership, hooks: Receiver, cast: Cast, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleo = workspaces.get_membership("other", cast.cleo.id)
    for number in range(limits.WEBHOOKS.default):
        endpoints.create(cleo, f"http://127.0.0.1:9/{number}", EVERYTHING, outbound=outbound(), by=OPERATOR)
    endpoints.create(ada, hooks.url, EVERYTHING, outbound=outbound(), by=OPERATOR)
    job_in("completed", cast.other)
    # The last in the queue.
    clock.advance(seconds=1)
    for _ in range(2 * WORKING.total):
        job_in("completed", cast.acme)
    arrived, is_waiting = threading.Event(), list[bool]()
    post = Outbound.post

    def hang(self: Outbound, url: str, *rest: Any) -> Answer:
        if url == hooks.url:
            return post(self, url, *rest)
        is_waiting.append(not arrived.wait(timeout=20))
        return FAILED

    def go_on() -> bool:
        if len(hooks.received) == 2 * WORKING.total:
            arrived.set()
        return True

    monkeypatch.setattr(Outbound, "post", hang)
    monkeypatch.setattr(sender, "LOOK_EVERY", 0)
    result = sender.send_due(outbound(), go_on)
    assert result == SendResult(limits.WEBHOOKS.default + 2 * WORKING.total, 2 * WORKING.total)
    assert not any(is_waiting)


def test_what_comes_back_at_once_counts_for_an_endpoint_in_its_order(
    endpoint: WebhookEndpoint, cast: Cast, clock: Clock
) -> None:
    for _ in range(4):
        job_in("completed", cast.acme)
    [ready] = attempts.list_ready()
    one, two, three, four = attempts.claim(ready, 4)
    attempts.record([Outcome(one, FAILED), Outcome(two, DELIVERED)])
    assert again(endpoint).failing_since is None
    attempts.record([Outcome(three, DELIVERED), Outcome(four, FAILED)])
    assert again(endpoint).failing_since == clock.now()
    assert [message.state for message in list_deliveries()] == ["waiting", "delivered", "delivered", "waiting"]


def test_a_chore_that_is_told_to_stop_begins_nothing_more_and_keeps_what_came_back(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast
) -> None:
    for _ in range(9):
        job_in("completed", cast.acme)
    assert sender.send_due(outbound(), lambda: False) == SendResult(4, 4)
    assert len(list_attempts()) == len(hooks.received) == 4


def test_the_chores_send_what_is_due(endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast) -> None:
    job_in("completed", cast.acme)
    sentences = [chore.do(lambda: True) for chore in list_chores(outbound()) if "webhooks" in chore.name]
    assert sentences == [
        "Made 1 attempts to call webhooks, 1 of them answered well.",
        "Forgot 0 old messages to webhooks.",
    ]


# --- again and again ---------------------------------------------------------------------------------------------


def test_what_failed_is_tried_again_over_a_day_and_then_given_up(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    hooks.status, began = 500, clock.now()
    job_in("completed", cast.acme)
    for number, rest in enumerate(BACKOFF, 1):
        assert send().attempts == 1
        [message] = list_deliveries()
        assert (message.state, message.attempts) == (DeliveryState.WAITING, number)
        assert message.due_at is not None
        waits = (message.due_at - clock.now()) / rest
        assert 1 - JITTER <= waits <= 1 + JITTER
        clock.moment = message.due_at - timedelta(seconds=1)
        assert send().attempts == 0
        clock.moment = message.due_at
    assert send().attempts == 1
    [message] = list_deliveries()
    assert (message.state, message.attempts, message.due_at) == (DeliveryState.FAILED, len(BACKOFF) + 1, None)
    assert timedelta(hours=20) < clock.now() - began < timedelta(hours=28)
    clock.advance(days=2)
    assert send().attempts == 0
    assert len(set(hooks.ids)) == 1
    assert len(list_attempts()) == len(hooks.received) == len(BACKOFF) + 1
    assert len({post.headers["webhook-timestamp"] for post in hooks.received}) == len(hooks.received)
    assert len({post.body for post in hooks.received}) == 1


def test_what_failed_together_does_not_come_together_again(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    hooks.status = 500
    for _ in range(5):
        job_in("completed", cast.acme)
    assert send().attempts == 5
    rests = {(message.due_at - clock.now()).total_seconds() for message in list_deliveries() if message.due_at}
    assert len(rests) == 5
    assert all(4.5 <= rest <= 5.5 for rest in rests)


def test_what_arrives_late_is_delivered_and_the_endpoint_counts_as_well_again(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    hooks.status, first = 503, clock.now()
    job_in("completed", cast.acme)
    send()
    assert again(endpoint).failing_since == first
    clock.advance(minutes=1)
    send()
    assert again(endpoint).failing_since == first
    hooks.status = 200
    clock.advance(minutes=1)
    assert send().delivered == 1
    assert again(endpoint).failing_since is None
    assert list_deliveries()[0].delivered_at == clock.now()


def test_a_receiver_that_is_away_is_told_in_words(
    endpoint: WebhookEndpoint, ada: Membership, cast: Cast, clock: Clock
) -> None:
    with receiver() as short_lived:
        url = short_lived.url
    endpoints.update(ada, endpoint.id, url, EVERYTHING, outbound=outbound(), by=OPERATOR)
    job_in("completed", cast.acme)
    assert send() == SendResult(1, 0)
    [attempt] = list_attempts()
    assert (attempt.status, attempt.error) == (None, "No connection: Connection refused.")


def test_a_process_that_dies_loses_its_claim_and_the_message_is_sent_by_another(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_in("completed", cast.acme)
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(Outbound, "post", die)
        send()
    assert send().attempts == 0
    clock.moment += CLAIM
    assert send() == SendResult(1, 1)
    assert list_deliveries()[0].attempts == 2


def die(*args: Any) -> None:
    raise KeyboardInterrupt


def test_two_processes_that_send_at_once_make_each_attempt_once(
    url: str, endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast
) -> None:
    other = endpoints.create(ada, hooks.url, EVERYTHING, outbound=outbound(), by=OPERATOR)
    for _ in range(15):
        job_in("completed", cast.acme)
    hooks.delay = 0.01
    begin, sent = threading.Barrier(2), list[int]()

    def process(app: Flask) -> None:
        with app.app_context():
            begin.wait()
            sent.append(send().attempts)
        dispose(app)

    # Made one after the other: routes are compiled by Python's parser, which Python 3.11 cannot run in two threads.
    apps = [make_app(url, **PRIVATE) for _ in range(2)]
    threads = [threading.Thread(target=process, args=[app]) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(hooks.ids) == sorted(str(message.id) for message in list_deliveries())
    assert len(set(hooks.ids)) == sum(sent) == len(list_attempts()) == 30
    assert {message.endpoint_id for message in list_deliveries()} == {endpoint.id, other.id}


def test_a_message_is_claimed_by_one_of_two_that_have_read_it(endpoint: WebhookEndpoint, cast: Cast) -> None:
    job_in("completed", cast.acme)
    [ready] = attempts.list_ready()
    assert len(attempts.claim(ready, 4)) == 1
    assert attempts.claim(ready, 4) == []


def test_of_many_that_claim_at_once_each_message_is_claimed_once(
    core: Flask, endpoint: WebhookEndpoint, ada: Membership
) -> None:
    for _ in range(12):
        history.ping(ada, endpoint.id, by=OPERATOR)
    [ready] = attempts.list_ready()
    claimed = at_once(core, *[partial(attempts.claim, ready, 4)] * 8)
    ids = [claim.id for claims in claimed if not isinstance(claims, Conflict) for claim in claims]
    ids += [claim.id for claim in attempts.claim(ready, 12)]
    assert sorted(ids) == [message.id for message in list_deliveries()]


# --- redelivery --------------------------------------------------------------------------------------------------


def test_one_message_is_sent_again_under_the_same_id(
    endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast
) -> None:
    job_in("completed", cast.acme)
    send()
    [message] = list_deliveries()
    history.redeliver(ada, endpoint.id, message.id, by=OPERATOR)
    assert list_deliveries()[0].state is DeliveryState.WAITING
    assert send() == SendResult(1, 1)
    assert hooks.ids == [str(message.id)] * 2
    [entry] = audited("redelivered")
    assert entry.detail == {"delivery": str(message.id), "count": 1}


def test_a_message_of_another_endpoint_is_not_found(
    endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast
) -> None:
    job_in("completed", cast.acme)
    other = endpoints.create(ada, hooks.url, EVERYTHING, outbound=outbound(), by=OPERATOR)
    for delivery_id in (list_deliveries()[0].id, uuid.uuid4()):
        with pytest.raises(NotFound):
            history.redeliver(ada, other.id, delivery_id, by=OPERATOR)
    assert audited("redelivered") == []


def test_all_that_failed_since_a_moment_is_sent_again_and_nothing_else(
    endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    job_in("completed", cast.acme)
    send()
    hooks.status = 500
    moments = []
    for _ in range(3):
        moments.append(clock.advance(hours=1))
        job_in("failed", cast.acme)
    exhaust(clock)
    hooks.status, hooks.received = 200, []
    waiting = job_in("canceled", cast.acme)
    assert history.redeliver_failed(ada, endpoint.id, moments[1], by=OPERATOR) == 2
    [done, old, *others] = list_deliveries()
    assert (done.state, old.state) == (DeliveryState.DELIVERED, DeliveryState.FAILED)
    assert send() == SendResult(3, 3)
    assert set(hooks.ids) == {str(message.id) for message in others}
    assert others[-1].job_id == waiting.id
    assert history.redeliver_failed(ada, endpoint.id, clock.now(), by=OPERATOR) == 0
    [entry] = audited("redelivered")
    assert entry.detail is not None
    assert entry.detail["count"] == 2


def test_a_message_sent_again_by_hand_has_a_day_of_attempts_again(
    endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    hooks.status = 500
    job_in("completed", cast.acme)
    exhaust(clock)
    [message] = list_deliveries()
    assert message.state is DeliveryState.FAILED
    history.redeliver(ada, endpoint.id, message.id, by=OPERATOR)
    send()
    [message] = list_deliveries()
    assert (message.state, message.attempts) == (DeliveryState.WAITING, 1)


# --- giving up ---------------------------------------------------------------------------------------------------


def test_an_endpoint_that_answers_gone_is_disabled_at_once_and_hears_nothing_more(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast
) -> None:
    hooks.status = 410
    job_in("completed", cast.acme)
    send()
    disabled = again(endpoint)
    assert disabled.disabled_at is not None
    assert disabled.disabled_reason == "It answered 410: gone for good."
    assert [listed.id for listed in endpoints.list_disabled(cast.acme.id)] == [endpoint.id]
    job_in("completed", cast.acme)
    assert [message.state for message in list_deliveries()] == [DeliveryState.FAILED]
    [entry] = audited("disabled")
    assert entry.actor == "system"


def test_after_three_days_of_failure_an_endpoint_is_disabled_with_all_that_waits(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    hooks.status, began = 500, clock.now()
    while again(endpoint).disabled_at is None:
        assert clock.now() - began < timedelta(days=5)
        job_in("completed", cast.acme)
        send()
        clock.advance(hours=3)
    assert timedelta(days=3) <= clock.now() - began < timedelta(days=3, hours=12)
    assert again(endpoint).disabled_reason == "Nothing was delivered since 24 Nov 2026 12:00 UTC."
    assert {message.state for message in list_deliveries()} == {DeliveryState.FAILED}


def test_one_delivery_in_three_days_keeps_an_endpoint_enabled(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    began = clock.now()
    while clock.now() - began < timedelta(days=6):
        hooks.status = 200 if (clock.now() - began) % timedelta(days=2) < timedelta(hours=6) else 500
        job_in("completed", cast.acme)
        send()
        clock.advance(hours=6)
    assert again(endpoint).disabled_at is None


def test_a_failure_long_ago_and_one_now_are_not_days_of_failure(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    hooks.status = 500
    job_in("completed", cast.acme)
    exhaust(clock)
    clock.advance(days=30)
    job_in("completed", cast.acme)
    send()
    assert again(endpoint).disabled_at is None


def test_an_endpoint_that_is_enabled_again_hears_what_happens_from_then_on(
    endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    hooks.status = 410
    job_in("completed", cast.acme)
    send()
    with pytest.raises(Conflict) as refused:
        history.redeliver(ada, endpoint.id, list_deliveries()[0].id, by=OPERATOR)
    assert refused.value.code == "webhook_disabled"
    with pytest.raises(Conflict):
        history.ping(ada, endpoint.id, by=OPERATOR)
    hooks.status = 200
    enabled = endpoints.enable(ada, endpoint.id, by=OPERATOR)
    assert (enabled.disabled_at, enabled.disabled_reason, enabled.failing_since) == (None, None, None)
    endpoints.enable(ada, endpoint.id, by=OPERATOR)
    assert len(audited("enabled")) == 1
    assert send().attempts == 0
    job_in("completed", cast.acme)
    assert send() == SendResult(1, 1)
    assert history.redeliver_failed(ada, endpoint.id, clock.now() - timedelta(days=1), by=OPERATOR) == 1
    assert send() == SendResult(1, 1)


# --- what is known, and for how long -----------------------------------------------------------------------------


def test_the_latest_messages_come_page_by_page_with_their_attempts(
    endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE_SIZE", 2)
    for _ in range(3):
        job_in("completed", cast.acme)
    send()
    first, cursor = history.list_deliveries(endpoint.id)
    rest, end = history.list_deliveries(endpoint.id, before=cursor)
    shown = [each.delivery.id for each in [*first, *rest]]
    assert (shown, end) == ([message.id for message in reversed(list_deliveries())], None)
    assert all(len(each.attempts) == 1 for each in first)
    assert history.list_deliveries(endpoint.id, failed=True) == ([], None)
    assert history.newest_by_endpoint([endpoint])[endpoint.id].delivery.id == shown[0]


def test_messages_are_forgotten_after_thirty_days_with_their_attempts(
    endpoint: WebhookEndpoint, ada: Membership, hooks: Receiver, cast: Cast, clock: Clock
) -> None:
    job_in("completed", cast.acme)
    send()
    clock.advance(days=1)
    job_in("completed", cast.acme)
    send()
    newer = list_deliveries()[1].id
    clock.advance(days=29, seconds=1)
    assert outbox.delete_old() == 1
    assert [message.id for message in list_deliveries()] == [newer]
    assert [attempt.delivery_id for attempt in list_attempts()] == [newer]
    history.redeliver(ada, endpoint.id, newer, by=OPERATOR)
    clock.advance(days=5)
    assert outbox.delete_old() == 0


def test_what_was_told_outlives_its_job(endpoint: WebhookEndpoint, hooks: Receiver, cast: Cast) -> None:
    job = job_in("completed", cast.acme)
    job_id = job.id
    db.session.execute(sa.delete(JobRun).where(JobRun.id == job_id))
    db.session.commit()
    assert send() == SendResult(1, 1)
    assert list_deliveries()[0].job_id is None


def test_a_message_deleted_while_it_is_sent_leaves_nothing_behind(
    endpoint: WebhookEndpoint, ada: Membership, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_in("completed", cast.acme)
    [ready] = attempts.list_ready()
    [claim] = attempts.claim(ready, 1)
    endpoints.delete(ada, endpoint.id, by=OPERATOR)
    attempts.record([Outcome(claim, FAILED)])
    assert list_attempts() == []
