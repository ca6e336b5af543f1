"""What pages ask costs the same however many jobs there are: the plans say so, on a board with enough jobs to tell."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from benchmarks.scale import make_queries
from tests.support.people import Cast
from webapp.core import demo_data
from webapp.core.audit import SYSTEM
from webapp.core.database.engine import prepare_engine
from webapp.core.database.session import db
from webapp.core.jobs.listing import COUNT_CAP

JOBS = 12_000
OTHERS = 300
LARGE = re.compile(r"job_runs\.(payload|result|error)\b")
Statement = tuple[str, Any]


@pytest.fixture
def full(core: Flask, cast: Cast) -> Cast:
    """Most jobs are in one workspace, and the database knows it."""
    for workspace, count in ((cast.acme, JOBS), (cast.other, OTHERS)):
        for _ in demo_data.seed(workspace.id, count, seed=7, by=SYSTEM):
            pass
    db.session.remove()
    with db.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    return cast


def asked_by(question: Any) -> list[Statement]:
    """The statements that read jobs, as they are sent."""
    sent: list[Statement] = []

    def hear(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if statement.startswith(("SELECT", "WITH")) and "job_" in statement:
            sent.append((statement, parameters))

    db.session.remove()
    sa.event.listen(db.engine, "before_cursor_execute", hear)
    try:
        question()
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", hear)
        db.session.remove()
    return sent


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def faults_on_postgresql(connection: sa.Connection, statement: str, parameters: Any) -> Iterator[str]:
    # So few rows are read from end to end for good reason; the question is whether there is another way.
    connection.exec_driver_sql("SET enable_seqscan = off")
    plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar_one()
    for node in nodes((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"]):
        rows = node["Actual Rows"] * node["Actual Loops"]
        if node["Node Type"] == "Seq Scan" and node["Relation Name"].startswith("job_"):
            yield f"reads all of {node['Relation Name']}"
        if node["Node Type"].endswith("Sort") and rows > COUNT_CAP:
            yield f"sorts {rows} rows"
        if node.get("Rows Removed by Filter", 0) * node["Actual Loops"] > COUNT_CAP:
            yield f"throws {node['Rows Removed by Filter']} rows away"


def faults_on_sqlite(connection: sa.Connection, statement: str, parameters: Any) -> Iterator[str]:
    for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
        if re.match(r"SCAN job_\w+(?! USING)", row.detail) and "USING" not in row.detail:
            yield row.detail
        if "TEMP B-TREE FOR ORDER BY" in row.detail and "FROM types" not in statement:
            yield row.detail


def test_no_question_reads_or_sorts_a_workspace_or_touches_what_is_large(full: Cast, engine_name: str) -> None:
    faults_of = faults_on_postgresql if engine_name == "postgresql" else faults_on_sqlite
    problems = []
    queries = make_queries(full.acme.slug)
    outside = sa.create_engine(db.engine.url, poolclass=sa.NullPool)
    if engine_name == "sqlite":
        prepare_engine(outside)
    for name, question in queries.items():
        for statement, parameters in asked_by(question):
            with outside.connect() as connection:
                problems += [(name, fault) for fault in faults_of(connection, statement, parameters)]
            if LARGE.search(statement) and not name.startswith(("search of a text", "one job")):
                problems.append((name, "touches a large column"))
    assert not problems, "\n".join(f"{name}: {fault}" for name, fault in problems)
