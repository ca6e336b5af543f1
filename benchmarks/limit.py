"""Does the least that the product's work can cost in Python: bare Flask routes that run its statements.

No schema, no rule, no scope, no metric: the token is looked up, the statement sent, a small answer given. Each thread
has a connection of its own. ``DATABASE_URL`` says where, as for the product; ``benchmarks.limit:app`` is the WSGI app.
"""

import json
import os
import secrets
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import psycopg
import sqlalchemy as sa
from flask import Flask, Response, jsonify, request

JOB_COLUMNS = (
    "id, type, status, result, error, progress, workspace_id, created_by, started_at, completed_at, created_at, "
    "updated_at, canceled_at, canceled_by, cancel_seen_at, cancel_confirmed_at, finish_refused, message, tags, link, "
    "runner, failure_reason, max_duration, heartbeat_timeout, last_seen_at, parent_id, version, check_at, error_group"
)
LIST_COLUMNS = JOB_COLUMNS.replace("result, error, ", "")
SELECT_BEARER = (
    "SELECT id, secret_hash, workspace_id, scopes, expires_at, revoked_at, last_used_at FROM api_tokens "
    "WHERE public_id = ?"
)
TOUCH = "updated_at = CASE WHEN updated_at > ? THEN updated_at ELSE ? END, last_seen_at = ?, version = version + 1"
UPDATE_PROGRESS = (
    f"UPDATE job_runs SET progress = ?, message = ?, {TOUCH} "
    f"WHERE id = ? AND status IN ('running') AND workspace_id = ? RETURNING {JOB_COLUMNS}"
)
UPDATE_STARTED = (
    f"UPDATE job_runs SET status = 'running', started_at = ?, {TOUCH} "
    f"WHERE id = ? AND status = 'pending' AND workspace_id = ? RETURNING {JOB_COLUMNS}"
)
UPDATE_COMPLETED = (
    f"UPDATE job_runs SET status = 'completed', progress = 100, completed_at = ?, check_at = NULL, {TOUCH} "
    f"WHERE id = ? AND status = 'running' AND workspace_id = ? RETURNING {JOB_COLUMNS}"
)
INSERT_EVENT = "INSERT INTO job_events (job_id, at, kind, from_status, to_status, by) "
INSERT_EVENT_ROW = INSERT_EVENT + "VALUES (?, ?, ?, ?, ?, ?)"
INSERT_JOB = (
    "INSERT INTO job_runs (id, type, status, payload, progress, workspace_id, created_by, created_at, updated_at, "
    "tags, version) VALUES (?, ?, 'pending', ?, 0, ?, ?, ?, ?, '[]', 1)"
)
SELECT_PAGE = f"SELECT {LIST_COLUMNS}, error FROM job_runs WHERE workspace_id = ? ORDER BY id DESC LIMIT 51"


class Sqlite:
    """Runs statements on one connection a thread, with one writer at a time in a process, as the product does."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._local = threading.local()
        self._writer = threading.Lock()

    @property
    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = sqlite3.connect(self._path, isolation_level=None)
            for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
                self._local.connection.execute(f"PRAGMA {pragma}")
        connection: sqlite3.Connection = self._local.connection
        return connection

    def key(self, text: str) -> str:
        return uuid.UUID(text).hex

    def now(self) -> str:
        return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

    def read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def write(self, statement: str, values: Sequence[Any]) -> Any:
        with self._writer:
            return self._connection.execute(statement, values).fetchone()

    def move(self, statement: str, values: Sequence[Any], event: Sequence[Any]) -> Any:
        with self._writer:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute(statement, values).fetchone()
            connection.execute(INSERT_EVENT_ROW, event)
            connection.execute("COMMIT")
        return row

    def create(self, values: Sequence[Any], event: Sequence[Any]) -> None:
        with self._writer:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(INSERT_JOB, values)
            connection.execute(INSERT_EVENT_ROW, event)
            connection.execute("COMMIT")


class Postgres:
    """Runs statements on one connection a thread; what is written together is one statement."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._local = threading.local()

    @property
    def _connection(self) -> psycopg.Connection[Any]:
        if not hasattr(self._local, "connection"):
            self._local.connection = psycopg.connect(self._address, autocommit=True)
        connection: psycopg.Connection[Any] = self._local.connection
        return connection

    def key(self, text: str) -> uuid.UUID:
        return uuid.UUID(text)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        return self._connection.execute(statement.replace("?", "%s"), values).fetchall()

    def write(self, statement: str, values: Sequence[Any]) -> Any:
        return self._connection.execute(statement.replace("?", "%s"), values).fetchone()

    def move(self, statement: str, values: Sequence[Any], event: Sequence[Any]) -> Any:
        event_of_moved = f"{INSERT_EVENT} SELECT id, ?, ?, ?, ?, ? FROM moved"
        both = f"WITH moved AS ({statement}), event AS ({event_of_moved}) SELECT * FROM moved"
        return self.write(both, [*values, *event[1:]])

    def create(self, values: Sequence[Any], event: Sequence[Any]) -> None:
        both = f"WITH job AS ({INSERT_JOB} RETURNING id) {INSERT_EVENT} SELECT id, ?, ?, ?, ?, ? FROM job"
        self._connection.execute(both.replace("?", "%s"), [*values, *event[1:]])


@cache
def database() -> Sqlite | Postgres:
    """Return the database that ``DATABASE_URL`` names."""
    url = sa.make_url(os.environ["DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        return Sqlite(url.database or "")
    return Postgres(url.set(drivername="postgresql").render_as_string(hide_password=False))


def _select_token() -> Any:
    public_id = request.headers["Authorization"].removeprefix("Bearer cb_").partition("_")[0]
    return database().read(SELECT_BEARER, (public_id,))[0]


app = Flask(__name__)


@app.post("/bare")
def bare() -> Response:
    """JSON in and out and nothing else: what the server, Flask and the driver reach together."""
    return jsonify(request.get_json())


@app.patch("/jobs/<job_id>")
def progress(job_id: str) -> Response:
    workspace_id, sent, now = _select_token()[2], request.get_json(), database().now()
    values = (sent["progress"], sent["message"], now, now, now, database().key(job_id), workspace_id)
    row = database().write(UPDATE_PROGRESS, values)
    return jsonify(id=job_id, status=row[2], progress=row[5], version=row[26])


@app.patch("/moves/<job_id>")
def move(job_id: str) -> Response:
    token, to, now, key = _select_token(), request.get_json()["status"], database().now(), database().key(job_id)
    statement, before = (UPDATE_STARTED, "pending") if to == "running" else (UPDATE_COMPLETED, "running")
    event = (key, now, "moved", before, to, f"token:{token[0]}")
    row = database().move(statement, (now, now, now, now, key, token[2]), event)
    return jsonify(id=job_id, status=row[2], progress=row[5], version=row[26])


@app.post("/jobs")
def create() -> tuple[Response, int]:
    # Ids that sort by creation, as the product's do: others would be dearer for every index.
    job_id = str(uuid.UUID(int=time.time_ns() << 64 | secrets.randbits(64)))
    token, sent, now = _select_token(), request.get_json(), database().now()
    key, by = database().key(job_id), f"token:{token[0]}"
    payload = json.dumps(sent["payload"])
    database().create((key, sent["type"], payload, token[2], by, now, now), (key, now, "enqueued", None, "pending", by))
    return jsonify(id=job_id, status="pending", progress=0, version=1), 201


@app.get("/jobs")
def page() -> Response:
    rows = database().read(SELECT_PAGE, (_select_token()[2],))
    return jsonify(data=[[str(value) for value in row] for row in rows[:50]])
