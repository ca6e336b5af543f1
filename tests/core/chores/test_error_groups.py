"""Failures that a server of an older release wrote beside this one: they join the groups of their errors later."""

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.support.jobs import RUNNER, job_in
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.chores import schedule
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.jobs import store
from webapp.core.models import JobRun
from webapp.extensions import outbound

pytestmark = pytest.mark.usefixtures("core")


def run_chore(*, go_on: bool = True) -> str:
    [chore] = [chore for chore in schedule.list_chores(outbound()) if chore.name == "error-groups"]
    return chore.do(lambda: go_on)


def fail(cast: Cast, error: str) -> JobRun:
    job = job_in("running", cast.acme)
    jobs.update_job_status(job.id, status="failed", error=error, by=RUNNER)
    return jobs.get_job_status(job.id)


def write_as_an_older_release(*failed: JobRun) -> None:
    db.session.execute(sa.update(JobRun).where(JobRun.id.in_([job.id for job in failed])).values(error_group=None))
    db.session.commit()


def test_a_failure_that_an_older_release_wrote_joins_the_group_of_its_error(cast: Cast) -> None:
    ours, theirs = (fail(cast, f"HTTP 502 from 10.0.0.{number}") for number in (1, 2))
    group, version = ours.error_group, theirs.version
    write_as_an_older_release(theirs)
    assert run_chore().startswith("Grouped the errors of 1 jobs")
    db.session.expire_all()
    assert group is not None
    assert (theirs.error_group, theirs.version) == (group, version + 1)
    assert run_chore().startswith("Grouped the errors of 0 jobs")


def test_a_job_that_runs_again_gets_no_group(cast: Cast) -> None:
    running = job_in("running", cast.acme)
    run_chore()
    db.session.expire_all()
    assert running.error_group is None


def test_many_are_done_in_batches_and_a_stop_leaves_the_rest_for_the_next_time(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_ERROR_GROUPS_BATCH", 2)
    failed = [fail(cast, f"E{number}") for number in range(5)]
    write_as_an_older_release(*failed)
    assert run_chore(go_on=False).startswith("Grouped the errors of 2 jobs")
    assert run_chore().startswith("Grouped the errors of 3 jobs")


def test_jobs_without_a_group_are_found_by_an_index_alone(core: Flask) -> None:
    """An index of failed jobs holds the group: no other job is read, and no failed one that has its group."""
    query = "SELECT id, type, error FROM job_runs WHERE status = 'failed' AND error_group IS NULL LIMIT 200"
    with write_transaction() as session:
        if db.engine.dialect.name == "postgresql":
            # A table of few rows is read as a whole, whatever its indexes.
            session.execute(sa.text("SET LOCAL enable_seqscan = off"))
            query = f"EXPLAIN {query}"
        else:
            query = f"EXPLAIN QUERY PLAN {query}"
        plan = session.execute(sa.text(query)).all()
    assert "ix_job_runs_" in str(plan), plan
