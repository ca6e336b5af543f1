"""Defines what is sent to the product and to the bare route that it is compared with, and fills the board for it."""

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

SECRET_KEY = "a key for benchmarks alone, of 32 signs"  # noqa: S105
PASSWORD = "correct horse battery"  # noqa: S105
RUNNING_JOBS = 2_000
"""Jobs that report progress, in turns."""
BATCH_SIZE = 100
"""Updates in a batch."""
MOVED_JOBS = 10_000
"""Jobs that are started and completed."""
START_LEAD = 500
"""Jobs that are started before the first of them is completed: more than there are connections."""


@dataclass(frozen=True)
class Target:
    """The least ratio that a row must reach to the one it is compared with, at 16 connections."""

    postgresql: float
    sqlite: float


def build_request(method: str, path: str, body: object = None, **headers: str) -> str:
    """Return a whole request."""
    text = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if text:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", text])


class Board:
    """Fills a board with jobs, and holds what requests to it need. A board that is filled already is taken as it is."""

    def __init__(self, address: str, job_count: int = 0) -> None:
        self.environ = {"DATABASE_URL": address, "SECRET_KEY": SECRET_KEY}
        migrate(self.environ)
        self.app = create_app(environ=self.environ)
        with self.app.app_context():
            self.workspace_id = self._ensure_workspace(job_count)
            self.token = tokens.create_unchecked(self.workspace_id, "bench", by=SYSTEM)[1]
            self.running = self._make_jobs(JobStatus.RUNNING, RUNNING_JOBS)
            if db.engine.dialect.name == "postgresql":
                with db.engine.connect() as connection:
                    # PostgreSQL does so by itself within a minute of so many new rows.
                    connection.exec_driver_sql("VACUUM ANALYZE")

    def _ensure_workspace(self, job_count: int) -> uuid.UUID:
        with suppress(NotFound):
            return workspaces.get_by_slug_unchecked("acme").id
        owner = accounts.create("ana@example.com", "Ana", PASSWORD, by=SYSTEM)
        workspace_id = workspaces.create("Acme", "acme", owner=owner, by=SYSTEM).id
        for _ in demo_data.seed(workspace_id, job_count, seed=1, by=SYSTEM):
            pass
        return workspace_id

    @property
    def bearer(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def create_pending(self, count: int) -> Sequence[str]:
        """Create so many pending jobs and return their ids."""
        with self.app.app_context():
            return self._make_jobs(JobStatus.PENDING, count)

    def _make_jobs(self, status: JobStatus, count: int) -> Sequence[str]:
        now = clock.now()
        started = now if status is JobStatus.RUNNING else None
        job = PastJob(type="bench", status=status, created_at=now - timedelta(seconds=1), started_at=started)
        for start in range(0, count, demo_data.BATCH_SIZE):
            jobs.record_past(self.workspace_id, [job] * min(demo_data.BATCH_SIZE, count - start))
        newest = sa.select(JobRun.id).where(JobRun.type == "bench", JobRun.status == status).order_by(JobRun.id.desc())
        ids = [str(job_id) for job_id in db.session.scalars(newest.limit(count))]
        db.session.remove()
        return ids

    def close(self) -> None:
        with self.app.app_context():
            db.engine.dispose()

    def sign_in(self, server: Server) -> None:
        """Sign in as a person who watches, and keep the cookie."""
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
    """One row: what is sent to the product and what to the bare routes; or the name of the row it is compared with.

    Each request carries ``each`` updates. With ``once`` none can be sent a second time.
    """

    name: str
    product: Requests | None = None
    limit: Requests | None = None
    compared_with: str | None = None
    target: Target | None = None
    answer: int = 200
    each: int = 1
    once: bool = False


def _progress_requests(path: str) -> Requests:
    def requests(board: Board) -> Sequence[str]:
        return [
            build_request(
                "PATCH", f"{path}/{job_id}", {"progress": number % 100, "message": "page 4 of 10"}, **board.bearer
            )
            for number, job_id in enumerate(board.running)
        ]

    return requests


def _batch_requests(board: Board) -> Sequence[str]:
    reports = [{"id": job_id, "progress": 40, "message": "page 4 of 10"} for job_id in board.running]
    return [
        build_request("POST", "/api/v1/jobs/batch", {"data": reports[start : start + BATCH_SIZE]}, **board.bearer)
        for start in range(0, RUNNING_JOBS, BATCH_SIZE)
    ]


def _move_requests(path: str) -> Requests:
    def requests(board: Board) -> Sequence[str]:
        ids = board.create_pending(MOVED_JOBS)
        return [
            build_request("PATCH", f"{path}/{job_id}", {"status": status}, **board.bearer)
            for start in range(0, MOVED_JOBS, START_LEAD)
            for status in ("running", "completed")
            for job_id in ids[start : start + START_LEAD]
        ]

    return requests


def _create_requests(path: str) -> Requests:
    new = {"type": "generate-report", "payload": {"customer": 4711, "note": "x" * 200}}
    return lambda board: [build_request("POST", path, new, **board.bearer)]


def _list_request(path: str) -> Requests:
    return lambda board: [build_request("GET", path, **board.bearer)]


def _table_request(board: Board) -> Sequence[str]:
    return [build_request("GET", "/w/acme/jobs/table", Cookie=board.cookie, **{"HX-Request": "true"})]


def _unchanged_request(board: Board) -> Sequence[str]:
    headers = {"HX-Request": "true", "If-None-Match": board.etag}
    return [build_request("GET", "/w/acme/jobs/table", Cookie=board.cookie, **headers)]


def _bare_request(board: Board) -> Sequence[str]:
    return [build_request("POST", "/bare", {"text": "x" * 280})]


CASES = (
    Case("bare route", limit=_bare_request),
    Case("list of 50 as JSON", _list_request("/api/v1/jobs"), _list_request("/jobs")),
    Case("poll that draws", _table_request),
    Case("poll unchanged", _unchanged_request, compared_with="poll that draws", target=Target(2.5, 2.5), answer=304),
    Case("progress", _progress_requests("/api/v1/jobs"), _progress_requests("/jobs"), target=Target(0.70, 0.60)),
    Case("progress by the hundred", _batch_requests, compared_with="progress", target=Target(5, 5), each=BATCH_SIZE),
    Case("move", _move_requests("/api/v1/jobs"), _move_requests("/moves"), target=Target(0.60, 0.50), once=True),
    Case("create", _create_requests("/api/v1/jobs"), _create_requests("/jobs"), target=Target(0.60, 0.50), answer=201),
)
"""In this order: what only reads comes before what leaves more jobs behind."""
