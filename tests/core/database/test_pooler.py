"""A real PgBouncer between board and PostgreSQL, which hands each transaction to any session it has."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.apps import dispose, make_app
from tests.support.jobs import job_in
from tests.support.lines import Line, line_to
from tests.support.people import Cast
from tests.support.processes import is_free
from tests.support.runner import Runner
from tests.support.waiting import wait_until
from webapp.core.database import connections
from webapp.core.database.session import db

MISSING = "There is no PgBouncer: nothing here is tested. On Debian: apt-get install pgbouncer."
# All that docs/scaling.md asks for; the rest is where to listen and whom to let in.
DOCUMENTED = """
pool_mode = transaction
ignore_startup_parameters = options
server_login_retry = 1
"""


@pytest.fixture(params=["postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Nothing here concerns SQLite."""
    return str(request.param)


def _user_of(socket: str | None) -> list[str]:
    """The option that makes PgBouncer somebody who may reach PostgreSQL's socket: it refuses to be root."""
    if os.geteuid() != 0:
        return []
    owner = Path(socket).stat().st_uid if socket and socket.startswith("/") else pwd.getpwnam("nobody").pw_uid
    return ["-u", pwd.getpwuid(owner).pw_name]


def _find_host(url: str) -> str:
    address = sa.make_url(url)
    host = address.host or address.query.get("host")
    assert isinstance(host, str)
    return host


@contextmanager
def pooler(url: str, port: int, folder: Path, line: Line | None = None) -> Iterator[str]:
    """The address of a database through a PgBouncer with two sessions for all, which may reach it by a line."""
    pgbouncer = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if pgbouncer is None:
        assert not os.environ.get("CI"), MISSING
        pytest.skip(MISSING)
    address, host = sa.make_url(url), _find_host(url)
    password = f"password={address.password}" if address.password else ""
    place = f"host=127.0.0.1 port={line.port}" if line else f"host={host} port={address.port or 5432}"
    server = f"{place} user={address.username} {password}"
    ini = folder / "pgbouncer.ini"
    ini.write_text(f"""
[databases]
{address.database} = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
default_pool_size = 2
{DOCUMENTED}
""")
    # It reads the file before it becomes somebody else.
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [pgbouncer, *_user_of(host), str(ini)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: not is_free(port), 10, (folder / "pgbouncer.log").read_text)
        yield f"postgresql://{address.username}@127.0.0.1:{port}/{address.database}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def pooled_url(url: str, port: int, tmp_path: Path) -> Iterator[str]:
    with pooler(url, port, tmp_path) as address:
        yield address


@pytest.fixture
def pooled_app(pooled_url: str) -> Iterator[Flask]:
    app = make_app(pooled_url)
    yield app
    dispose(app)


def test_reports_of_many_connections_share_the_sessions_of_a_pooler(
    pooled_app: Flask, app: Flask, cast: Cast, token: str
) -> None:
    with app.app_context():
        jobs = [{"id": str(job_in("running", cast.acme).id)} for _ in range(6)]
    runner = Runner(pooled_app.test_client(), token)

    def report_often(job: dict[str, str]) -> list[int]:
        here = Runner(pooled_app.test_client(), token)
        answers = [here.report(job, progress=number).status_code for number in range(20)]
        return [*answers, here.enqueue()["progress"] + 200, here.get("/jobs").status_code]

    with ThreadPoolExecutor(len(jobs)) as threads:
        answers = [status for statuses in threads.map(report_often, jobs) for status in statuses]
    assert set(answers) == {200}
    assert runner.report(jobs[0], status="completed").status_code == 200


def test_behind_a_pooler_times_are_read_and_statements_have_an_end(
    pooled_app: Flask, url: str, cast: Cast, token: str
) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {sa.make_url(url).database} SET DateStyle = 'German, DMY'")
    assert Runner(pooled_app.test_client(), token).enqueue()["created_at"].endswith("Z")
    with pooled_app.app_context(), db.engine.connect() as connection:
        driver_connection: Any = connection.connection.driver_connection
        assert driver_connection.answer_timeout == 35
        assert driver_connection.prepare_threshold is None


def test_a_board_is_migrated_through_a_pooler(pooled_app: Flask) -> None:
    with pooled_app.app_context():
        flask_migrate.downgrade()
        flask_migrate.upgrade()
        for _ in range(4):
            with db.engine.connect() as connection:
                # What a migration may do for itself is not left to the next who gets its session.
                assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"
        assert pooled_app.test_client().get("/readyz").status_code == 200


def test_a_server_that_falls_silent_behind_a_pooler_is_noticed_as_soon(
    app: Flask, url: str, port: int, tmp_path: Path, cast: Cast, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CHECK_EVERY", 0.3)
    with app.app_context():
        job = {"id": str(job_in("running", cast.acme).id)}
    if not (host := _find_host(url)).startswith("/"):
        pytest.skip("The line leads to a socket.")
    with line_to(f"{host}/.s.PGSQL.5432") as line, pooler(url, port, tmp_path, line) as address:
        pooled = make_app(address, DATABASE_CONNECT_TIMEOUT="2")
        runner = Runner(pooled.test_client(), token)
        assert runner.report(job, progress=1).status_code == 200
        line.silence_all()
        started = time.monotonic()
        assert runner.report(job, progress=2).status_code == 503
        assert time.monotonic() - started < 20
        line.speak()
        wait_until(lambda: runner.report(job, progress=3).status_code == 200, 10)
        dispose(pooled)
