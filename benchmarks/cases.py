"""What is asked of the product, and of the bare route that it is judged by; and the board on which it is asked."""

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import httpx
import sqlalchemy as sa

from benchmarks.servers import Server, migrate
from webapp import create_app
from webapp.core import clock, demo_data, jobs
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.errors import NotFound
from webapp.core.jobs import PastJob
from webapp.core.lifecycle import JobStatus
from webapp.core.models import JobRun
from webapp.core.workspaces import tokens, workspaces

SECRET_KEY = "a key for benchmarks alone"  # noqa: S105
PASSWORD = "correct horse battery"  # noqa: S105
RUNNING = 2_000
"""Jobs whose progress is told, in turns."""
BATCHED = 100
"""Updates in a batch."""
MOVED = 10_000
"""Jobs that are started and completed."""
STARTED_FIRST = 500
"""So many are started before the first of them is completed: more than there are connections."""


@dataclass(frozen=True)
class Target:
    """The least that a row must reach of what it is judged by, with 16 connections."""

    postgresql: float
    sqlite: float


def http(method: str, path: str, body: object = None, **headers: str) -> str:
    """A whole request."""
    text = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if text:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", text])


class Board:
    """A board with some jobs, and what is needed to ask it things. One that is filled already is taken as it is."""

    def __init__(self, address: str, seeded: int = 0) -> None:
        self.environ = {"DATABASE_URL": address, "SECRET_KEY": SECRET_KEY}
        migrate(self.environ)
        self.app = create_app(environ=self.environ)
        with self.app.app_context():
            self.workspace_id = self._workspace(seeded)
            self.token = tokens.create_unchecked(self.workspace_id, "bench", by=SYSTEM)[1]
            self.running = self._made(JobStatus.RUNNING, RUNNING)
            if db.engine.dialect.name == "postgresql":
                with db.engine.connect() as connection:
                    # As it does by itself within a minute of so many new rows.
                    connection.exec_driver_sql("VACUUM ANALYZE")

    def _workspace(self, seeded: int) -> uuid.UUID:
        with suppress(NotFound):
            return workspaces.get_by_slug_unchecked("acme").id
        owner = accounts.create("ana@example.com", "Ana", PASSWORD, by=SYSTEM)
        made = workspaces.create("Acme", "acme", owner=owner, by=SYSTEM).id
        for _ in demo_data.seed(made, seeded, seed=1, by=SYSTEM):
            pass
        return made

    @property
    def bearer(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def pending(self, count: int) -> Sequence[str]:
        """The ids of so many new jobs that wait."""
        with self.app.app_context():
            return self._made(JobStatus.PENDING, count)

    def _made(self, status: JobStatus, count: int) -> Sequence[str]:
        now = clock.now()
        started = now if status is JobStatus.RUNNING else None
        job = PastJob(type="bench", status=status, created_at=now - timedelta(seconds=1), started_at=started)
        for begun in range(0, count, demo_data.BATCH_SIZE):
            jobs.record_past(self.workspace_id, [job] * min(demo_data.BATCH_SIZE, count - begun))
        newest = sa.select(JobRun.id).where(JobRun.type == "bench", JobRun.status == status).order_by(JobRun.id.desc())
        made = [str(job_id) for job_id in db.session.scalars(newest.limit(count))]
        db.session.remove()
        return made

    def close(self) -> None:
        with self.app.app_context():
            db.engine.dispose()

    def sign_in(self, server: Server) -> None:
        """Keep the cookie of a person who watches."""
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as browser:
            page = browser.get("/login").text
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
            assert token
            answer = browser.post(
                "/login", data={"email": "ana@example.com", "password": PASSWORD, "csrf_token": token[1]}
            )
            assert answer.status_code == 303, answer.text
            self.cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
            self.etag = browser.get("/w/acme/jobs/table", headers={"HX-Request": "true"}).headers["ETag"]


Requests = Callable[[Board], Sequence[str]]


@dataclass(frozen=True)
class Case:
    """One row: what is asked of the product, and what of the bare routes; or which other row it is judged by.

    Each request is worth ``each`` updates. ``once`` says that none can be sent a second time.
    """

    name: str
    product: Requests | None = None
    limit: Requests | None = None
    judged_by: str | None = None
    target: Target | None = None
    answer: int = 200
    each: int = 1
    once: bool = False


def _progress(path: str) -> Requests:
    def requests(board: Board) -> Sequence[str]:
        return [
            http("PATCH", f"{path}/{job_id}", {"progress": number % 100, "message": "page 4 of 10"}, **board.bearer)
            for number, job_id in enumerate(board.running)
        ]

    return requests


def _batches(board: Board) -> Sequence[str]:
    reports = [{"id": job_id, "progress": 40, "message": "page 4 of 10"} for job_id in board.running]
    return [
        http("POST", "/api/v1/jobs/batch", {"data": reports[begun : begun + BATCHED]}, **board.bearer)
        for begun in range(0, RUNNING, BATCHED)
    ]


def _moves(path: str) -> Requests:
    def requests(board: Board) -> Sequence[str]:
        waiting = board.pending(MOVED)
        return [
            http("PATCH", f"{path}/{job_id}", {"status": status}, **board.bearer)
            for begun in range(0, MOVED, STARTED_FIRST)
            for status in ("running", "completed")
            for job_id in waiting[begun : begun + STARTED_FIRST]
        ]

    return requests


def _creates(path: str) -> Requests:
    new = {"type": "generate-report", "payload": {"customer": 4711, "note": "x" * 200}}
    return lambda board: [http("POST", path, new, **board.bearer)]


def _list(path: str) -> Requests:
    return lambda board: [http("GET", path, **board.bearer)]


def _table(board: Board) -> Sequence[str]:
    return [http("GET", "/w/acme/jobs/table", Cookie=board.cookie, **{"HX-Request": "true"})]


def _unchanged(board: Board) -> Sequence[str]:
    held = {"HX-Request": "true", "If-None-Match": board.etag}
    return [http("GET", "/w/acme/jobs/table", Cookie=board.cookie, **held)]


def _bare(board: Board) -> Sequence[str]:
    return [http("POST", "/bare", {"text": "x" * 280})]


CASES = (
    Case("bare route", limit=_bare),
    Case("list of 50 as JSON", _list("/api/v1/jobs"), _list("/jobs")),
    Case("poll that draws", _table),
    Case("poll unchanged", _unchanged, judged_by="poll that draws", target=Target(2.5, 2.5), answer=304),
    Case("progress", _progress("/api/v1/jobs"), _progress("/jobs"), target=Target(0.70, 0.60)),
    Case("progress by the hundred", _batches, judged_by="progress", target=Target(5, 5), each=BATCHED),
    Case("move", _moves("/api/v1/jobs"), _moves("/moves"), target=Target(0.60, 0.50), once=True),
    Case("create", _creates("/api/v1/jobs"), _creates("/jobs"), target=Target(0.60, 0.50), answer=201),
)
"""In this order: what only reads comes before what leaves more jobs behind."""
