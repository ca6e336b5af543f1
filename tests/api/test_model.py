"""The board against a model of it: random calls of several runners and operators, over HTTP, and each answer compared.

``pytest tests/api/test_model.py --model-runs 300 --timeout 0`` tries other calls each time, for as long as it takes.
"""

import copy
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Any, TypeVar

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.clock import Clock
from tests.support.model_board import NOT_FOUND, Answer, Body, Caller, Message, ModelBoard
from tests.support.pages import csrf_token
from tests.support.people import PASSWORD
from tests.support.servers import serve
from tests.support.transitions import STATUSES, TABLE
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.chores import liveness
from webapp.core.clock import to_iso
from webapp.core.database.session import db
from webapp.core.jobs import enqueue_job
from webapp.core.models import AuditEntry, Scope, WebhookDelivery, WebhookEndpoint, WebhookEvent, new_id
from webapp.core.webhooks.secrets import make_secret
from webapp.core.workspaces import tokens, workspaces

RUNS, STEPS_OF_RUN = 50, 30
LEAST_STEPS, LEAST_OF_EACH = 1200, 20
"""On each engine, in all and of each kind; a run that drew much ends before its last step, and none does everything."""
RUNNERS = (
    (Scope.READ, Scope.WRITE),
    (Scope.READ, Scope.WRITE),
    (Scope.WRITE,),
    (Scope.WRITE, Scope.CANCEL),
    tuple(Scope),
)
"""The scopes of the tokens that report. The first is asked how jobs stand."""
NEWEST = 4
"""Calls are about the newest few jobs, so that callers come across each other."""
MINIMAL = {"Prefer": "return=minimal"}

# --- what may be sent --------------------------------------------------------------------------------------------

numbers = st.integers(1, NEWEST)
"""How many jobs from the end: 1 is the newest."""
callers = st.integers(0, len(RUNNERS) - 1)
texts = st.sampled_from(["a", "b", "naïve – ok"])
results = st.sampled_from([{}, {"rows": 3}, {"rows": [1, None, "x"]}])
types, tags = st.sampled_from(["report", "import"]), st.sampled_from([["eu"], ["eu", "nightly"]])
keys = st.sampled_from([None, None, None, "k1", "k2"])
statuses = st.sampled_from(["pending", "running", "completed", "failed", "canceled"])
delays = st.sampled_from([0, 0, 0, 3, 45, -60])
"""How many seconds ago it happened; 0 is not said, and nobody believes in what is yet to happen."""
new_jobs = st.fixed_dictionaries(
    {"type": types},
    optional={
        "payload": results,
        "tags": tags,
        "max_duration": st.sampled_from([30, 150]),
        "heartbeat_timeout": st.sampled_from([10, 30]),
        "runner": texts,
    },
)


@st.composite
def long_reports(draw: st.DrawFn) -> Body:
    """A report of anything that may stand together."""
    link = st.just("https://ci.example/7")
    optional = {"status": statuses, "progress": st.integers(0, 100), "message": texts, "runner": texts, "link": link}
    report = draw(st.fixed_dictionaries({}, optional=optional))
    if report.get("status") == "failed" and draw(st.booleans()):
        report["error"] = draw(texts)
    if report.get("status") not in ("failed", "canceled") and draw(st.booleans()):
        report["result"] = draw(results)
    return report


reports = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"progress": st.integers(0, 100)}),
    st.fixed_dictionaries({"status": statuses}, optional={"message": texts}),
    long_reports(),
)
"""Mostly what runners send: a heartbeat, progress, a move."""


@dataclass(frozen=True)
class Act:
    """What is done to one job: a report, alone or in a batch, a cancel, or the board's own search for what is overdue.

    ``delay`` is how many seconds ago it happened that is reported.
    """

    kind: str
    caller: int
    report: Body
    delay: int = 0
    minimal: bool = False


ACTS = ("report", "report", "report", "report in a batch", "cancel by token", "cancel on page", "fail overdue")
acts = st.builds(Act, st.sampled_from(ACTS), callers, reports, delays, st.booleans())


@dataclass
class Tally:
    """What the runs were about."""

    steps: Counter[str] = field(default_factory=Counter)
    pairs: set[tuple[str, str | None]] = field(default_factory=set)
    """States of jobs, with the statuses that were reported on them."""


@dataclass
class Clients:
    """Who calls over HTTP: an httpx client for each runner, one for an operator's browser, one for a stranger."""

    runners: list[httpx.Client]
    browser: httpx.Client
    stranger: httpx.Client


Method = TypeVar("Method", bound=Callable[..., None])


def step(**strategies: st.SearchStrategy[Any]) -> Callable[[Method], Any]:
    """Make a rule of a method, and count each time that it is followed."""

    def decorate(method: Method) -> Any:
        @wraps(method)
        def count_and_follow(self: "BoardAgainstModel", **values: Any) -> None:
            self.tally.steps[method.__name__] += 1
            method(self, **values)

        return rule(**strategies)(count_and_follow)  # type: ignore[call-overload]

    return decorate


class BoardAgainstModel(RuleBasedStateMachine):
    """One run: a workspace of its own, its runners, an operator in a browser, and the runner of another workspace."""

    def __init__(self, app: Flask, clock: Clock, clients: Clients, tally: Tally) -> None:
        super().__init__()
        self.app, self.clock, self.tally = app, clock, tally
        self.runners, self.browser, self.stranger = clients.runners, clients.browser, clients.stranger
        self.calls: list[Callable[[], None]] = []
        self.polled: dict[str, tuple[str, Any]] = {}

    @initialize(has_webhook=st.booleans(), first_job=new_jobs)
    def open_workspace(self, has_webhook: bool, first_job: Body) -> None:
        # The board may have been away since the run before; from now on it listens.
        self.clock.advance(minutes=10)
        slug = f"run-{uuid.uuid4().hex[:12]}"
        with self.app.app_context():
            owner = accounts.create(f"{slug}@example.com", "Ada", PASSWORD, by=SYSTEM)
            workspace = workspaces.create("Run", slug, owner=owner, by=SYSTEM)
            other = workspaces.create("Other", f"other-{slug}", owner=owner, by=SYSTEM)
            made = [tokens.create_unchecked(workspace.id, "t", scopes=scopes, by=SYSTEM) for scopes in RUNNERS]
            stranger = tokens.create_unchecked(other.id, "t", scopes=tuple(Scope), by=SYSTEM)[1]
            self.foreign_id = str(enqueue_job("foreign", other.id))
            if has_webhook:
                self._add_webhook(workspace.id)
            liveness.record_server_heartbeat(first=True)
        self.callers = [
            Caller(token.ref, may_read=Scope.READ in token.scopes, may_cancel=Scope.CANCEL in token.scopes)
            for token, _ in made
        ]
        self.operator = Caller(f"user:{owner.id}", may_cancel=True)
        self.pages, self.model = f"/w/{slug}", ModelBoard(str(workspace.id), self.clock.now(), has_webhook)
        for client, (_, text) in zip(self.runners, made, strict=True):
            client.headers["Authorization"] = f"Bearer {text}"
        self.stranger.headers["Authorization"] = f"Bearer {stranger}"
        self._sign_in(owner.email)
        self._enqueue(0, first_job)

    def _add_webhook(self, workspace_id: uuid.UUID) -> None:
        """Let every end of a job put down a message, which nobody sends here."""
        now = self.clock.now()
        endpoint = WebhookEndpoint(id=new_id(now), workspace_id=workspace_id, secret=make_secret(), created_at=now)
        endpoint.url, endpoint.events, endpoint.created_by = "https://hooks.example/", list(WebhookEvent), "system"
        db.session.add(endpoint)
        db.session.commit()

    def _sign_in(self, email: str) -> None:
        self.browser.cookies.clear()
        form = {"csrf_token": csrf_token(self.browser.get("/login").text), "email": email, "password": PASSWORD}
        assert self.browser.post("/login", data=form).status_code == 303
        self.form = {"csrf_token": csrf_token(self.browser.get(f"{self.pages}/jobs").text)}

    # --- new jobs ------------------------------------------------------------------------------------------------

    @step(
        caller=callers,
        body=new_jobs,
        key=keys,
        delay=delays,
        parent=st.none() | st.integers(0, NEWEST),
        minimal=st.booleans(),
    )
    def enqueue(self, caller: int, body: Body, key: str | None, delay: int, parent: int | None, minimal: bool) -> None:
        """Create a job; the parent 0 is one of another workspace, which for this one is none."""
        if parent is not None:
            parent_id = self._id(self._index(parent)) if parent else self.foreign_id
            body = body | {"parent_id": parent_id}
        self._call(partial(self._enqueue, caller, body, key, delay, minimal))

    def _enqueue(self, caller: int, body: Body, key: str | None = None, delay: int = 0, minimal: bool = False) -> None:
        occurred_at = self._ago(delay)
        headers = ({"Idempotency-Key": key} if key else {}) | (MINIMAL if minimal else {})
        response = self.runners[caller].post("/jobs", json=body | _to_json(occurred_at), headers=headers)
        expected = self.model.enqueue(
            body,
            self.callers[caller],
            self.clock.now(),
            new_id=response.json().get("id", ""),
            key=key,
            occurred_at=occurred_at,
            minimal=minimal,
        )
        assert read_answer(response) == expected
        assert ("Idempotent-Replayed" in response.headers) == (expected.status == 200)

    @step(caller=callers, body=new_jobs, state=st.sampled_from(tuple(TABLE)), act=acts)
    def bring_to(self, caller: int, body: Body, state: str, act: Act) -> None:
        """Create a job and let it come to a state, as jobs do; and then somebody acts."""
        body = body | {"lost": {"heartbeat_timeout": 10}, "timed_out": {"max_duration": 10}}.get(state, {})
        self._enqueue(caller, body)
        newest = self._index(1)
        if state not in ("pending", "canceled"):
            self._act(newest, Act("report", caller, {"status": "running"}))
        if state in ("completed", "failed"):
            self._act(newest, Act("report", caller, {"status": state}))
        elif state == "canceled":
            self._act(newest, Act("cancel on page", caller, {}))
        elif state in ("lost", "timed_out"):
            self._listen(12)
            self._act(newest, Act("fail overdue", caller, {}))
        self._call(partial(self._act, newest, act))

    # --- acts on a job, one after the other ------------------------------------------------------------------------

    @step(number=numbers, acts=st.lists(acts, min_size=1, max_size=3))
    def act_in_turn(self, number: int, acts: list[Act]) -> None:
        for act in acts:
            self._call(partial(self._act, self._index(number), act))

    def _call(self, call: Callable[[], None]) -> None:
        self.calls.append(call)
        call()

    @precondition(lambda self: self.calls)
    @step(number=numbers)
    def repeat(self, number: int) -> None:
        """Call once more as one of the last calls was: its answer was lost on the way."""
        self.calls[-number:][0]()

    def _act(self, number: int, act: Act) -> None:
        expected = self._expect(self.model, number, act)
        assert self._perform(number, act) == expected
        self._check_job(number)

    def _expect(self, model: ModelBoard, number: int, act: Act) -> Answer:
        """Let a model do it, and return what it answers."""
        by, now = self.callers[act.caller], self.clock.now()
        match act.kind:
            case "cancel by token":
                return model.cancel_by_token(number, by, now)
            case "cancel on page":
                return Answer(204 if model.cancel(number, self.operator, now) else 409)
            case "fail overdue":
                model.fail_overdue(now)
                return Answer(204)
        self.tally.pairs.add((model.jobs[number].state, act.report.get("status")))
        return model.report(
            number,
            act.report,
            by,
            now,
            occurred_at=self._ago(act.delay),
            minimal=act.minimal,
            in_batch=act.kind == "report in a batch",
        )

    def _perform(self, number: int, act: Act) -> Answer:
        """Let the board do it, and return what it answers."""
        runner, path = self.runners[act.caller], f"/jobs/{self._id(number)}"
        headers = MINIMAL if act.minimal else {}
        match act.kind:
            case "report":
                return read_answer(runner.patch(path, json=self._to_body(act), headers=headers))
            case "report in a batch":
                data = [{"id": self._id(number)} | self._to_body(act)]
                [answer] = runner.post("/jobs/batch", json={"data": data}, headers=headers).json()["data"]
                return read_item(answer)
            case "cancel by token":
                return read_answer(runner.post(f"{path}/cancel"))
            case "cancel on page":
                # As htmx does it.
                address = f"{self.pages}{path}/cancel"
                return Answer(self.browser.post(address, data=self.form, headers={"HX-Request": "true"}).status_code)
        with self.app.app_context():
            liveness.sweep()
        return Answer(204)

    def _to_body(self, act: Act) -> Body:
        return act.report | _to_json(self._ago(act.delay))

    def _ago(self, delay: int) -> datetime | None:
        return self.clock.now() - timedelta(seconds=delay) if delay else None

    def _index(self, number: int) -> int:
        return max(len(self.model.jobs) - number, 0)

    def _id(self, number: int) -> str:
        return self.model.jobs[number].id

    # --- acts on a job at the same moment ------------------------------------------------------------------------

    @step(number=numbers, acts=st.tuples(acts, acts), silence=st.sampled_from([0, 0, 12]))
    def act_at_once(self, number: int, acts: tuple[Act, Act], silence: int) -> None:
        """Let two act at the same moment, perhaps after a silence."""
        self._listen(silence)
        self._act_at_once(self._index(number), acts)

    @step(caller=callers, body=new_jobs, act=acts)
    def act_at_the_last_moment(self, caller: int, body: Body, act: Act) -> None:
        """Let somebody act on a job that fell silent while the board comes to look for what is overdue."""
        self._enqueue(caller, body | {"heartbeat_timeout": 10})
        self._act(self._index(1), Act("report", caller, {"status": "running"}))
        self._listen(12)
        self._act_at_once(self._index(1), (Act("fail overdue", caller, {}), act))

    def _act_at_once(self, number: int, acts: tuple[Act, Act]) -> None:
        """Let two act: what comes of it must be what one after the other would have come to."""
        possible = [self._expect_in_order(number, acts, order) for order in ((0, 1), (1, 0))]
        ready = threading.Barrier(2)

        def perform(act: Act) -> Answer:
            ready.wait(timeout=10)
            return self._perform(number, act)

        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(perform, acts))
        outcome = (answers, self._get(number), self._get_history(number))
        outcomes = []
        for expected, self.model in possible:
            job = self.model.jobs[number]
            outcomes.append((expected, job.as_json(), job.history_as_json()))
            if outcomes[-1] == outcome:
                return
        assert outcome in outcomes

    def _expect_in_order(
        self, number: int, acts: tuple[Act, Act], order: tuple[int, int]
    ) -> tuple[list[Answer], ModelBoard]:
        """Return what each would be answered in that order, and the model after it."""
        model = copy.deepcopy(self.model)
        answers = {turn: self._expect(model, number, acts[turn]) for turn in order}
        return [answers[0], answers[1]], model

    # --- acts on several jobs --------------------------------------------------------------------------------------

    @step(
        caller=callers,
        items=st.lists(st.tuples(st.integers(0, NEWEST), reports, delays), min_size=1, max_size=6),
        minimal=st.booleans(),
    )
    def report_in_batch(self, caller: int, items: list[tuple[int, Body, int]], minimal: bool) -> None:
        """Report on a job or on many; the number 0 is one of another workspace, which for this one is none."""
        self._report_in_batch(caller, items, minimal)

    def _report_in_batch(self, caller: int, items: list[tuple[int, Body, int]], minimal: bool) -> None:
        acts = [
            (self._index(number) if number else None, Act("report in a batch", caller, report, delay, minimal))
            for number, report, delay in items
        ]
        data = [
            {"id": self.foreign_id if number is None else self._id(number)} | self._to_body(act) for number, act in acts
        ]
        response = self.runners[caller].post("/jobs/batch", json={"data": data}, headers=MINIMAL if minimal else {})
        assert response.status_code == 200
        assert [item["id"] for item in response.json()["data"]] == [item["id"] for item in data]
        expected = [NOT_FOUND if number is None else self._expect(self.model, number, act) for number, act in acts]
        assert [read_item(item) for item in response.json()["data"]] == expected
        for number in {number for number, _ in acts if number is not None}:
            self._check_job(number)

    @step(
        maker=callers,
        caller=callers,
        body=new_jobs,
        moves=st.lists(st.tuples(statuses, delays), min_size=2, max_size=4),
    )
    def report_life_in_batch(self, maker: int, caller: int, body: Body, moves: list[tuple[str, int]]) -> None:
        """Let a token report in one batch how a job went that perhaps another created."""
        self._enqueue(maker, body)
        self._report_in_batch(caller, [(1, {"status": status}, delay) for status, delay in moves], minimal=False)

    @step(count=numbers, type=st.none() | types)
    def cancel_several(self, count: int, type: str | None) -> None:
        """Cancel the newest jobs, which are ticked in the list, or all of a type, as the page says that asks before."""
        if type is None:
            ticked = range(self._index(count), len(self.model.jobs))
            self._cancel_on_list(ticked, {"sure": "1", "job": [self._id(number) for number in ticked]})
            return
        jobs = self.model.jobs
        matching = [number for number, job in enumerate(jobs) if job.record["type"] == type and job.is_live]
        newest = max(map(self._id, matching), default="")
        self._cancel_on_list(matching, {"all": "1", "type": type, "newest": newest, "shown": str(len(matching))})

    def _cancel_on_list(self, numbers: Sequence[int], form: Body) -> None:
        assert self.browser.post(f"{self.pages}/jobs/cancel", data=self.form | form).status_code == 303
        for number in numbers:
            self.model.cancel(number, self.operator, self.clock.now())
            self._check_job(number)

    # --- logs, time, strangers -------------------------------------------------------------------------------------

    @step(
        number=numbers,
        caller=callers,
        texts=st.lists(texts, min_size=1, max_size=3),
        key=keys,
        delay=delays,
        pauses=st.lists(st.sampled_from([0, 4]), min_size=1, max_size=3),
        start=st.booleans(),
    )
    def append_to_log(
        self, number: int, caller: int, texts: list[str], key: str | None, delay: int, pauses: list[int], start: bool
    ) -> None:
        """Let a runner write the same lines every few seconds, or, if they have a key, send them again."""
        if start:
            number = 1
            self._enqueue(caller, {"type": "report"})
            self._act(self._index(1), Act("report", caller, {"status": "running"}))
        number = self._index(number)
        for pause in pauses:
            self._listen(pause)
            self._call(partial(self._append_to_log, number, caller, texts, key, delay))

    def _append_to_log(self, number: int, caller: int, texts: list[str], key: str | None, delay: int) -> None:
        at = self._ago(delay)
        lines: list[Body] = [{"text": text, "level": "info"} | ({"at": at} if at else {}) for text in texts]
        sent = {"lines": [line | ({"at": to_iso(at)} if at else {}) for line in lines]}
        path, headers = f"/jobs/{self._id(number)}/logs", {"Idempotency-Key": key} if key else {}
        response = self.runners[caller].post(path, json=sent, headers=headers)
        expected = self.model.append_to_log(number, lines, self.clock.now(), key=key)
        assert (response.status_code, response.json().get("next_after")) == expected
        self._check_job(number)
        log = self.runners[0].get(path, params={"after": "1"}).json()
        assert log["data"] == self.model.jobs[number].log_as_json()[1:]

    @step(seconds=st.sampled_from([4, 12, 40]), away=st.sampled_from([0, 0, 6, 90]))
    def pass_time(self, seconds: int, away: int) -> None:
        """Let time pass, perhaps without the board first, and then while it listens; then it looks what is overdue.

        Whose runner could not report was not silent.
        """
        if away:
            with self.app.app_context():
                self.model.listening_since = self.clock.advance(seconds=away)
                liveness.record_server_heartbeat(first=True)
        self._listen(seconds)
        with self.app.app_context():
            liveness.sweep()
        self.model.fail_overdue(self.clock.now())

    def _listen(self, seconds: int) -> None:
        with self.app.app_context():
            for _ in range(0, seconds, 4):
                self.clock.advance(seconds=4)
                liveness.record_server_heartbeat()

    @step(number=numbers, caller=callers)
    def call_without_right(self, number: int, caller: int) -> None:
        """Let a token read that perhaps may only write, and one of another workspace try: there is no such job."""
        number = self._index(number)
        by, path = self.callers[caller], f"/jobs/{self._id(number)}"
        addresses = (path, f"{path}/events", f"{path}/logs")
        for address in addresses:
            answer = read_answer(self.runners[caller].get(address))
            assert answer[:2] == ((200, None) if by.may_read else (403, "forbidden"))
        answers = [self.stranger.get(address) for address in addresses]
        answers += [self.stranger.patch(path, json={"status": "running"}), self.stranger.post(f"{path}/cancel")]
        answers += [self.stranger.post(f"{path}/logs", json={"lines": [{"text": "x"}]})]
        assert [read_answer(answer) for answer in answers] == [NOT_FOUND] * len(answers)
        self._check_job(number)

    # --- how it stands -----------------------------------------------------------------------------------------------

    @step(
        statuses=st.sets(statuses, max_size=2),
        type=st.none() | types,
        tag=st.none() | st.sampled_from(["eu", "nightly"]),
        limit=st.sampled_from([2, 100]),
    )
    def list_jobs(self, statuses: set[str], type: str | None, tag: str | None, limit: int) -> None:
        """List what matches, page by page, and the history of the newest job; and count what there is."""
        query: Body = {"status": sorted(statuses), "type": type, "tag": tag}
        query = {name: value for name, value in query.items() if value is not None}
        assert self._read_pages("/jobs", limit, **query) == self.model.list_jobs(statuses, type, tag)
        newest = self._index(1)
        events = self._read_pages(f"/jobs/{self._id(newest)}/events", limit)
        assert events == self.model.jobs[newest].history_as_json()
        counts = self.runners[0].get("/jobs/counts").json()
        numbers = {status: len(self.model.list_jobs({status})) for status in STATUSES if status is not None}
        assert counts == {status: {"count": number, "capped": False} for status, number in numbers.items()}

    def _read_pages(self, path: str, limit: int, **query: Any) -> list[Any]:
        """Read a list to its end, so many rows at a time."""
        rows: list[Any] = []
        cursor: Body = {}
        while True:
            page = self.runners[0].get(path, params={"limit": limit} | query | cursor).json()
            rows += page["data"]
            if page["next_cursor"] is None:
                return rows
            assert len(page["data"]) == limit
            cursor = {"cursor": page["next_cursor"]}

    def _check_job(self, number: int) -> None:
        assert self._get(number) == self.model.jobs[number].as_json()
        assert self._get_history(number) == self.model.jobs[number].history_as_json()

    def _get(self, number: int) -> Any:
        """Read a job as a poller does, who is not sent again what has not changed."""
        path = f"/jobs/{self._id(number)}"
        etag, job = self.polled.get(path, ("", None))
        response = self.runners[0].get(path, headers={"If-None-Match": etag} if etag else {})
        if response.status_code == 200:
            etag, job = self.polled[path] = (response.headers["ETag"], response.json())
        return job

    def _get_history(self, number: int) -> Any:
        return self.runners[0].get(f"/jobs/{self._id(number)}/events").json()["data"]

    def teardown(self) -> None:
        # Of a run that failed already, the first difference says more than what follows from it.
        if isinstance(sys.exception(), Exception):
            return
        for number in range(len(self.model.jobs)):
            self._check_job(number)
        assert self._read_pages("/jobs", 100) == self.model.list_jobs()
        [foreign] = self.stranger.get("/jobs").json()["data"]
        assert (foreign["id"], foreign["status"], foreign["last_seen_at"]) == (self.foreign_id, "pending", None)
        self._check_audit_log()
        self._check_messages()

    def _check_audit_log(self) -> None:
        """Each cancel by somebody who did not run the job is a line of the audit log, and nothing else is."""
        query = sa.select(AuditEntry.actor, AuditEntry.resource).where(
            AuditEntry.workspace_id == uuid.UUID(self.model.workspace_id), AuditEntry.action == "job.canceled"
        )
        with self.app.app_context():
            lines = Counter(map(tuple, db.session.execute(query)))
        assert lines == Counter((by, f"job:{job_id}") for by, job_id in self.model.cancels)

    def _check_messages(self) -> None:
        query = sa.select(WebhookDelivery).where(
            WebhookDelivery.job_id.in_([uuid.UUID(job.id) for job in self.model.jobs])
        )
        with self.app.app_context():
            rows = db.session.scalars(query)
            messages = [Message(str(row.job_id), row.event, row.due_at) for row in rows if row.due_at]
        assert Counter(messages) == Counter(self.model.messages)


def _to_json(occurred_at: datetime | None) -> Body:
    return {"occurred_at": to_iso(occurred_at)} if occurred_at else {}


def read_answer(response: httpx.Response) -> Answer:
    """Return an answer as the model gives it. The version, which is in short answers alone, is left out."""
    body = response.json()
    return Answer(
        response.status_code,
        body["code"] if response.status_code >= 400 else None,
        _without_version(body.get("job") if response.status_code >= 400 else body),
    )


def read_item(item: Body) -> Answer:
    """Return what a batch answers to one report as if it had come alone."""
    problem = item.get("problem", {})
    return Answer(item["status"], problem.get("code"), _without_version(item.get("job") or problem.get("job")))


def _without_version(job: Body | None) -> Body | None:
    return job and {name: value for name, value in job.items() if name != "version"}


def test_the_board_does_what_the_model_of_it_does(app: Flask, clock: Clock, request: pytest.FixtureRequest) -> None:
    runs: int | None = request.config.getoption("model_runs")
    chosen = settings(
        max_examples=runs or RUNS,
        stateful_step_count=STEPS_OF_RUN,
        deadline=None,
        derandomize=runs is None,
        database=None,
        # To look for the shortest run that fails takes minutes, and the last call says the most.
        phases=[Phase.generate],
        report_multiple_bugs=False,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    tally = Tally()
    with serve(app) as address, ExitStack() as open_clients:
        *runners, stranger = (
            open_clients.enter_context(httpx.Client(base_url=f"{address}/api/v1", timeout=20))
            for _ in range(len(RUNNERS) + 1)
        )
        browser = open_clients.enter_context(httpx.Client(base_url=address, timeout=20))
        clients = Clients(runners, browser, stranger)

        class BoardOfThisTest(BoardAgainstModel):
            def __init__(self) -> None:
                super().__init__(app, clock, clients, tally)

        run_state_machine_as_test(BoardOfThisTest, settings=chosen)
    # The runs must have been about something: every row of the contract's table, and every column.
    if runs is None:
        assert tally.steps.total() >= LEAST_STEPS
        assert min(tally.steps.values()) >= LEAST_OF_EACH, tally.steps
    assert {state for state, _ in tally.pairs} == set(TABLE)
    assert {status for _, status in tally.pairs} == set(STATUSES)
