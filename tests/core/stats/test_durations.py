"""How long a type of job usually takes, the runs before a job, its parent and its children."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.support.clock import Clock
from tests.support.jobs import fill
from tests.support.people import Cast
from webapp.core import jobs
from webapp.core.database.session import db
from webapp.core.jobs import read
from webapp.core.models import JobRun, Workspace
from webapp.core.stats import durations

pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture
def cast(clock: Clock, cast: Cast) -> Cast:
    return cast


def ran(clock: Clock, workspace: Workspace, seconds: float, type: str = "report", status: str = "completed") -> object:
    job_id = jobs.enqueue_job(type, workspace.id)
    jobs.update_job_status(job_id, status="running")
    clock.advance(seconds=seconds)
    jobs.update_job_status(job_id, status=status)
    return job_id


def test_the_usual_duration_is_the_median_of_what_completed(clock: Clock, cast: Cast) -> None:
    for seconds in (10, 20, 900):
        ran(clock, cast.acme, seconds)
    ran(clock, cast.acme, 1, status="failed")
    ran(clock, cast.acme, 1, type="other")
    assert durations.usual_durations(cast.acme.id, {"report", "other", "none"}) == {"report": timedelta(seconds=20)}


def test_the_newest_hundred_runs_count(clock: Clock, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "SAMPLE_SIZE", 3)
    for seconds in (900, 900, 900, 10, 20, 30):
        ran(clock, cast.acme, seconds)
    assert durations.usual_durations(cast.acme.id, ["report"]) == {"report": timedelta(seconds=20)}


def test_a_job_is_not_compared_with_itself(clock: Clock, cast: Cast) -> None:
    for _ in range(3):
        last = ran(clock, cast.acme, 10)
    assert durations.usual_durations(cast.acme.id, ["report"]) == {"report": timedelta(seconds=10)}
    assert durations.usual_durations(cast.acme.id, ["report"], beside=last) == {}  # type: ignore[arg-type]


def test_nothing_of_another_workspace_counts(clock: Clock, cast: Cast) -> None:
    for _ in range(3):
        ran(clock, cast.other, 10)
    mine = jobs.get_job_status(jobs.enqueue_job("report", cast.acme.id))
    assert durations.usual_durations(cast.acme.id, ["report"]) == {}
    assert durations.list_earlier(mine) == []


def test_the_usual_duration_is_read_from_its_index_alone(cast: Cast, engine_name: str) -> None:
    fill(cast.acme)
    [type] = db.session.scalars(sa.select(JobRun.type).limit(1))
    statement = durations._select_newest(cast.acme.id, type, None).compile(
        db.engine, compile_kwargs={"literal_binds": True}
    )
    if engine_name == "sqlite":
        plan = str(db.session.execute(sa.text(f"EXPLAIN QUERY PLAN {statement}")).all())
        assert "COVERING INDEX ix_job_runs_completed" in plan
    else:
        with db.engine.execution_options(isolation_level="READ COMMITTED").connect() as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = str(connection.execute(sa.text(f"EXPLAIN {statement}")).all())
        assert "Index Only Scan Backward using ix_job_runs_completed" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


def test_the_runs_before_a_job_come_newest_first_and_no_later_one(clock: Clock, cast: Cast) -> None:
    ids = [jobs.enqueue_job("report", cast.acme.id) for _ in range(10) if clock.advance(seconds=1)]
    earlier = durations.list_earlier(jobs.get_job_status(ids[9]))
    assert [run.id for run in earlier] == ids[8:0:-1]
    assert durations.list_earlier(jobs.get_job_status(ids[0])) == []


def test_a_run_is_slow_when_it_takes_half_as_long_again_and_a_second(cast: Cast) -> None:
    assert durations.slow_after(timedelta(seconds=10)) == timedelta(seconds=16)
    assert durations.slow_after(timedelta(0)) == timedelta(seconds=1)


# --- family ------------------------------------------------------------------------------------------------------


def test_children_come_in_their_order_and_the_rest_is_counted(
    clock: Clock, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "CHILDREN_SHOWN", 2)
    parent = jobs.get_job_status(jobs.enqueue_job("import", cast.acme.id))
    assert jobs.list_children(parent).jobs == []
    ids = [jobs.enqueue_job("part", cast.acme.id, parent_id=parent.id) for _ in range(5) if clock.advance(seconds=1)]
    children = jobs.list_children(parent)
    assert ([child.id for child in children.jobs], children.more, children.capped) == (ids[:2], 3, False)
    monkeypatch.setattr(read, "CHILD_COUNT_CAP", 2)
    assert (jobs.list_children(parent).more, jobs.list_children(parent).capped) == (2, True)
    above = jobs.get_parent(jobs.get_job_status(ids[0]))
    assert above is not None
    assert above.type == "import"
    assert jobs.get_parent(parent) is None
