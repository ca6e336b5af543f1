"""A small model of the board: the life of a job, written from the contract of the API and not from the code.

It answers what the board must answer, and says how each job, its history and its log must then stand. It has no
database and knows no two writers: whatever several do at once must come to what they come to here one after the other.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from webapp.core.clock import to_iso

Body = dict[str, Any]

CONTENT = ("progress", "message", "result", "error", "link", "runner")
"""What a report may bring beside the status and the time."""
LOGS_COUNT_EVERY = timedelta(seconds=5)
"""Where silence fails no job, lines of a log are a sign of life this often; more would only wear the disk."""
LOST_AGAIN_AFTER = timedelta(minutes=10)
"""How long a webhook is not sent that a job is lost once more."""
LOST_BEFORE_WITHIN = timedelta(hours=1)
"""How long ago a job may have run on after it was lost, to be lost once more."""


class Answer(NamedTuple):
    """An answer over HTTP: its status, the code of its problem, and the job that it shows."""

    status: int
    code: str | None = None
    job: Mapping[str, Any] | None = None


NOT_FOUND = Answer(404, "not_found")


@dataclass(frozen=True)
class Caller:
    """Who calls: how the board names them, and what their scopes allow beside writing."""

    ref: str
    may_read: bool = True
    may_cancel: bool = False

    @property
    def hidden_fields(self) -> tuple[str, ...]:
        """Return what no answer shows to them."""
        return () if self.may_read else ("result", "error")


BOARD = Caller("system")


@dataclass(frozen=True)
class Message:
    """A message to a webhook about a job: what happened, and when it is sent."""

    job_id: str
    event: str
    due_at: datetime


@dataclass
class ModelJob:
    """A job as it must be: its record with times as times, its history and its log."""

    record: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    log_keys: dict[str, tuple[Sequence[Body], int]] = field(default_factory=dict)
    """Idempotency keys of the log: the lines that came first, and how far the log went with them."""
    starters: set[str] = field(default_factory=set)
    """Who moved it to running."""

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def status(self) -> str:
        return str(self.record["status"])

    @property
    def is_live(self) -> bool:
        return self.status in ("pending", "running")

    @property
    def state(self) -> str:
        """Return what decides what may happen: the status, or that the board itself failed it (lost, timed_out)."""
        reason = self.record["failure_reason"]
        return reason if reason in ("lost", "timed_out") else self.status

    def add_event(self, kind: str, at: datetime, by: Caller, **more: Any) -> None:
        # What happened before the board lost the job stands behind that in its history all the same.
        at = max([at, *(event["at"] for event in self.events[-1:])])
        self.events.append({"kind": kind, "at": at, "from": None, "to": None, "by": by.ref, "message": None} | more)

    def change(self, now: datetime, changes: Body, *, seen: bool = True) -> None:
        """Write to the record; what its runner does lets it be ``seen`` as well."""
        self.record |= changes
        self.record |= {"updated_at": now, "last_seen_at": now} if seen else {"updated_at": now}

    # --- as the API writes it ---

    def answer(
        self,
        status: int,
        by: Caller,
        code: str | None = None,
        *,
        without: tuple[str, ...] = (),
        minimal: bool = False,
    ) -> Answer:
        """Return an answer that shows the job as the caller may see it; to refuse, it is never ``minimal``."""
        if minimal and code is None:
            return Answer(status, None, {name: self.record[name] for name in ("id", "status", "progress")})
        return Answer(status, code, self.as_json(*without, *by.hidden_fields))

    def as_json(self, *without: str) -> dict[str, Any]:
        return {
            name: to_iso(value) if isinstance(value, datetime) else value
            for name, value in self.record.items()
            if name not in without
        }

    def history_as_json(self) -> list[dict[str, Any]]:
        return [{"id": number} | event | {"at": to_iso(event["at"])} for number, event in enumerate(self.events, 1)]

    def log_as_json(self) -> list[dict[str, Any]]:
        return [{"seq": number} | line | {"at": to_iso(line["at"])} for number, line in enumerate(self.lines, 1)]


@dataclass
class ModelBoard:
    """The jobs of one workspace in the order in which they came, and since when the board has been listening."""

    workspace_id: str
    listening_since: datetime
    has_webhook: bool = False
    jobs: list[ModelJob] = field(default_factory=list)
    keys: dict[str, tuple[Body, ModelJob]] = field(default_factory=dict)
    """Idempotency keys: the body that came first, and the job that was made of it."""
    cancels: list[tuple[str, str]] = field(default_factory=list)
    """Lines of the audit log: who canceled which job that was not theirs."""
    messages: list[Message] = field(default_factory=list)

    # --- a new job -----------------------------------------------------------------------------------------------

    def enqueue(
        self,
        body: Body,
        by: Caller,
        now: datetime,
        *,
        new_id: str,
        key: str | None = None,
        occurred_at: datetime | None = None,
        minimal: bool = False,
    ) -> Answer:
        """Take a POST of a job; ``new_id`` is the id that the board will give it."""
        if key in self.keys:
            first_body, job = self.keys[key]
            return job.answer(200, by, minimal=minimal) if first_body == body else Answer(422, "idempotency_key_reused")
        if "parent_id" in body and body["parent_id"] not in (job.id for job in self.jobs):
            return Answer(422, "invalid")
        created_at = min(occurred_at or now, now)
        job = ModelJob(self._new_record(new_id, body, by, created_at) | {"updated_at": now})
        job.add_event("enqueued", created_at, by, to="pending")
        self.jobs.append(job)
        if key is not None:
            self.keys[key] = (body, job)
        return job.answer(201, by, minimal=minimal)

    def _new_record(self, new_id: str, body: Body, by: Caller, created_at: datetime) -> dict[str, Any]:
        absent = (
            "payload result error started_at completed_at canceled_at canceled_by cancel_seen_at cancel_confirmed_at"
            " message link runner failure_reason max_duration heartbeat_timeout last_seen_at parent_id"
        )
        record = {"id": new_id, "status": "pending", "progress": 0, "tags": [], "workspace_id": self.workspace_id}
        return record | {"created_by": by.ref, "created_at": created_at} | dict.fromkeys(absent.split()) | body

    # --- a report ------------------------------------------------------------------------------------------------

    def report(
        self,
        number: int,
        body: Body,
        by: Caller,
        now: datetime,
        *,
        occurred_at: datetime | None = None,
        minimal: bool = False,
        in_batch: bool = False,
    ) -> Answer:
        """Take a PATCH, or one report of a batch. ``occurred_at`` is when it happened, if it comes late."""
        job = self.jobs[number]
        code = self._take_report(job, body, by, now, occurred_at or now)
        if code == "missing_scope":
            return Answer(403, code)
        without = ("payload", "result", "error") if in_batch else ("payload",)
        return job.answer(409 if code else 200, by, code, without=without, minimal=minimal)

    def _take_report(self, job: ModelJob, body: Body, by: Caller, now: datetime, occurred_at: datetime) -> str | None:
        """Judge a report by the table of the contract, and apply it; return the code if it is refused."""
        status = body.get("status")
        content = {name: body[name] for name in CONTENT if name in body}
        match job.state:
            case "timed_out":
                return "job_timed_out"
            case "canceled":
                return self._report_after_cancel(job, status, content, by, now)
            case "completed" | "failed":
                is_heartbeat = status is None and not content
                says_nothing_new = all(job.record[name] == value for name, value in content.items())
                return None if is_heartbeat or (status == job.status and says_nothing_new) else "illegal_transition"
            case "pending":
                stays = status in (None, "pending") and not {"progress", "result"} & content.keys()
                if not stays and status not in ("running", "failed", "canceled"):
                    return "illegal_transition"
            case "running" | "lost":
                if status == "pending":
                    return "illegal_transition"
        if status == "canceled" and not self._runs(job, by):
            if not by.may_cancel:
                return "missing_scope"
            self.cancels.append((by.ref, job.id))
        if job.state == "lost":
            cleared = dict.fromkeys(("completed_at", "failure_reason", "error"))
            self._move(job, "running", now, by, cleared, message="The runner spoke again.")
        if status in (None, job.status):
            job.change(now, content)
        else:
            self._take_move(job, status, content, by, now, occurred_at)
        return None

    def _runs(self, job: ModelJob, by: Caller) -> bool:
        return by.ref == job.record["created_by"] or by.ref in job.starters

    def _take_move(
        self, job: ModelJob, status: str, content: Body, by: Caller, now: datetime, occurred_at: datetime
    ) -> None:
        moved_at = min(max(occurred_at, job.record["started_at"] or job.record["created_at"]), now)
        changes: dict[str, Any] = {}
        match status:
            case "running":
                changes = {"started_at": moved_at}
            case "completed":
                changes = {"completed_at": moved_at, "progress": 100}
            case "failed":
                changes = {"completed_at": moved_at, "failure_reason": "error"}
            case "canceled":
                # Its runner gives it up, and knows of it: nothing is left to be seen or confirmed.
                moved_at = now
                changes = dict.fromkeys(("canceled_at", "cancel_seen_at", "cancel_confirmed_at"), now)
                changes |= {"canceled_by": by.ref}
        self._move(job, status, now, by, changes | content, at=moved_at, message=content.get("message"))

    def _report_after_cancel(
        self, job: ModelJob, status: str | None, content: Body, by: Caller, now: datetime
    ) -> str | None:
        record = job.record
        if status == "canceled" and content.keys() <= {"message"}:
            if record["cancel_confirmed_at"] is None:
                seen_at = record["cancel_seen_at"] or now
                job.change(now, content | {"cancel_confirmed_at": now, "cancel_seen_at": seen_at})
                job.add_event("cancel_confirmed", now, by, message=content.get("message"))
            return None
        if record["cancel_seen_at"] is None:
            job.change(now, {"cancel_seen_at": now})
            job.add_event("cancel_seen", now, by)
        if status in ("completed", "failed") and not any(event["kind"] == "refused" for event in job.events):
            job.change(now, {})
            job.add_event("refused", now, by, to=status, message=content.get("message"))
        return "job_canceled"

    # --- a cancel ------------------------------------------------------------------------------------------------

    def cancel_by_token(self, number: int, by: Caller, now: datetime) -> Answer:
        """Take a POST of a cancel."""
        if not by.may_cancel:
            return Answer(403, "forbidden")
        job = self.jobs[number]
        code = None if self.cancel(number, by, now) else "job_finished"
        return job.answer(409 if code else 200, by, code, without=("payload",))

    def cancel(self, number: int, by: Caller, now: datetime) -> bool:
        """Cancel a job for somebody who may; return whether it is canceled, now or before."""
        job = self.jobs[number]
        if job.is_live:
            self._move(job, "canceled", now, by, {"canceled_at": now, "canceled_by": by.ref}, seen=False)
            self.cancels.append((by.ref, job.id))
        return job.status == "canceled"

    # --- lines of a log ------------------------------------------------------------------------------------------

    def append_to_log(
        self, number: int, lines: Sequence[Body], now: datetime, *, key: str | None = None
    ) -> tuple[int, int | None]:
        """Take lines, whatever the status; return the status of the answer, and how far the log goes.

        Lines are a sign of life of a running job, and nothing else: they move nothing, and revive nothing.
        """
        job = self.jobs[number]
        if key in job.log_keys:
            first_lines, next_after = job.log_keys[key]
            return (200, next_after) if first_lines == lines else (422, None)
        for line in lines:
            at = min(max(line.get("at", now), job.record["created_at"]), now)
            job.lines.append({"at": at, "level": line.get("level"), "text": line["text"]})
        if key is not None:
            job.log_keys[key] = (lines, len(job.lines))
        if job.status == "running":
            timeout, last_seen_at = job.record["heartbeat_timeout"], job.record["last_seen_at"]
            if timeout is not None or last_seen_at <= now - LOGS_COUNT_EVERY:
                job.change(now, {})
        return 200, len(job.lines)

    # --- what the board does by itself -----------------------------------------------------------------------------

    def fail_overdue(self, now: datetime) -> None:
        """Fail what runs for too long, and whose runner was silent for too long while the board was listening."""
        for job in self.jobs:
            record = job.record
            if job.status != "running":
                continue
            if (limit := record["max_duration"]) and record["started_at"] + timedelta(seconds=limit) <= now:
                self._fail(job, "timed_out", f"It ran longer than its limit of {limit} s.", now)
            elif timeout := record["heartbeat_timeout"]:
                silent_since = max(record["last_seen_at"], self.listening_since)
                if silent_since + timedelta(seconds=timeout) <= now:
                    self._fail(job, "lost", f"Its runner fell silent: no news for {timeout} s.", now)

    def _fail(self, job: ModelJob, reason: str, error: str, now: datetime) -> None:
        changes = {"failure_reason": reason, "error": error, "completed_at": now}
        self._move(job, "failed", now, BOARD, changes, message=error, seen=False)

    # --- what every change of status brings ------------------------------------------------------------------------

    def _move(
        self,
        job: ModelJob,
        status: str,
        now: datetime,
        by: Caller,
        changes: Body,
        *,
        at: datetime | None = None,
        message: str | None = None,
        seen: bool = True,
    ) -> None:
        """Change the status of a job, with one event; ``at`` is when it happened, if that was not now."""
        job.add_event("moved", at or now, by, **{"from": job.status, "to": status, "message": message})
        job.change(now, {**changes, "status": status}, seen=seen)
        if status == "running":
            job.starters.add(by.ref)
        if self.has_webhook:
            self._send_message(job, now)

    def _send_message(self, job: ModelJob, now: datetime) -> None:
        """Say to the webhook how a job ended.

        That it is lost once more is sent later, and not at all if the job runs on before.
        """
        if job.status == "running":
            self.messages = [one for one in self.messages if one.job_id != job.id or one.due_at <= now]
        elif job.state == "lost":
            since = now - LOST_BEFORE_WITHIN
            ran_on_lately = any(event["from"] == "failed" and event["at"] > since for event in job.events)
            self.messages.append(Message(job.id, "job.lost", now + LOST_AGAIN_AFTER if ran_on_lately else now))
        else:
            self.messages.append(Message(job.id, f"job.{job.status}", now))

    # --- a list --------------------------------------------------------------------------------------------------

    def list_jobs(
        self, statuses: Collection[str] = (), type: str | None = None, tag: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the rows of a list, the newest first; without statuses, those of all."""
        rows = [
            job.as_json("payload", "result")
            for job in self.jobs
            if (not statuses or job.status in statuses)
            and type in (None, job.record["type"])
            and (tag is None or tag in job.record["tags"])
        ]
        return sorted(rows, key=lambda row: str(row["id"]), reverse=True)
