"""SQLite's write-ahead log does not keep the size to which somebody who read for long let it grow."""

import pytest
from flask import Flask

from tests.support.jobs import RUNNER
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.database.engine import MAX_WAL_SIZE, get_wal_size
from webapp.core.database.session import db


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_the_log_is_small_again_after_a_long_read(core: Flask, cast: Cast) -> None:
    payload = {"text": "x" * 200_000}
    with db.engine.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM job_runs").all()
        for _ in range(2 * MAX_WAL_SIZE // 200_000):
            jobs.enqueue_job("report", cast.acme.id, payload, by=RUNNER)
        assert (get_wal_size(db.engine) or 0) > 1.5 * MAX_WAL_SIZE
    for _ in range(30):
        jobs.enqueue_job("report", cast.acme.id, payload, by=RUNNER)
    assert (get_wal_size(db.engine) or 0) <= MAX_WAL_SIZE


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_postgresql_has_no_such_log_of_ours(core: Flask) -> None:
    assert get_wal_size(db.engine) is None
