"""Rules of the house that can be read off the source: imports point inward, one writer of status, no open wall."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.source import imports, within

WEBAPP = ROOT / "webapp"
CORE = WEBAPP / "core"
JOBS = CORE / "jobs" / "store.py"
DOORS = ("api", "dashboard")
VERBS_WITH_A_WALL = ("apply_report", "update_job_status", "get_job_status", "cancel_job")


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources(CORE), ids=named)
def test_the_core_knows_no_door_and_no_request(path: Path) -> None:
    outward = ("webapp.api", "webapp.dashboard", "webapp.cli", "webapp.config", "webapp.heartbeat", "webapp.metrics")
    web = (
        "flask",
        "flask_sqlalchemy",
        "flask_migrate",
        "flask_wtf",
        "wtforms",
        "htmx_flask",
        "werkzeug",
        "jinja2",
        "click",
    )
    found = [name for name in imports(ast.parse(path.read_text())) if within(name, *outward, *web)]
    assert found == []


LADDER = (
    ("chores", "stats", "demo_data"),
    ("jobs",),
    ("webhooks",),
    ("workspaces",),
    ("accounts",),
    ("audit", "mail", "job_json"),
    ("database",),
    ("models",),
    ("metrics", "hashing", "json_text", "validation"),
    ("lifecycle", "clock", "errors"),
)
"""The parts of the core: each imports only what stands on a rung below its own, and itself."""
RUNG = {part: number for number, parts in enumerate(LADDER) for part in parts}


def part_of_core(name: str) -> str | None:
    """Return the part of the core that a full name belongs to; ``None`` for what is not the core's."""
    return name.split(".")[2] if within(name, "webapp.core") and name.count(".") >= 2 else None


def imports_up_the_ladder(part: str, source: str) -> list[str]:
    """Return what a file of this part imports of the web application though it stands on no rung below."""
    names = [name for name in imports(ast.parse(source)) if within(name, "webapp")]
    return [
        name for name in names if (other := part_of_core(name)) != part and (not other or RUNG[other] <= RUNG[part])
    ]


@pytest.mark.parametrize("path", sources(CORE), ids=named)
def test_a_part_of_the_core_imports_only_what_stands_below_it(path: Path) -> None:
    part = path.relative_to(CORE).parts[0].removesuffix(".py")
    if part != "__init__":
        assert imports_up_the_ladder(part, path.read_text()) == []


@pytest.mark.parametrize(
    ("part", "line", "offenders"),
    [
        ("models", "from webapp.core import jobs", ["webapp.core.jobs"]),
        (
            "jobs",
            "from webapp.core.stats.durations import usual_durations",
            ["webapp.core.stats.durations.usual_durations"],
        ),
        ("jobs", "from webapp.extensions import csrf", ["webapp.extensions.csrf"]),
        ("audit", "from webapp.core.mail import MailServer", ["webapp.core.mail.MailServer"]),
        ("jobs", "from webapp.core.jobs import store\nfrom webapp.core import clock", []),
    ],
)
def test_an_import_up_the_ladder_would_be_found(part: str, line: str, offenders: list[str]) -> None:
    assert imports_up_the_ladder(part, line) == offenders


def test_the_lifecycle_imports_nothing_of_ours() -> None:
    found = [name for name in imports(ast.parse((CORE / "lifecycle.py").read_text())) if within(name, "webapp")]
    assert found == []


@pytest.mark.parametrize("path", sources(CORE / "models"), ids=named)
def test_the_tables_know_only_each_other_the_lifecycle_and_the_time(path: Path) -> None:
    allowed = ("webapp.core.models", "webapp.core.lifecycle", "webapp.core.clock")
    ours = [name for name in imports(ast.parse(path.read_text())) if within(name, "webapp")]
    assert [name for name in ours if not within(name, *allowed)] == []


@pytest.mark.parametrize("path", sources(WEBAPP), ids=named)
def test_only_the_clock_asks_what_time_it_is(path: Path) -> None:
    if path == CORE / "clock.py":
        return
    asked = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("now", "utcnow", "today")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("datetime", "date", "dt")
    ]
    assert asked == []


# --- doors -------------------------------------------------------------------------------------------------------


def reaches_for_the_database(source: str) -> list[str]:
    """What a door imports of the database. What can go wrong with it a door may know, to answer for it."""
    return [
        name
        for name in imports(ast.parse(source))
        if within(name, "sqlalchemy", "flask_sqlalchemy", "webapp.core.database.session.db")
        and not within(name, "sqlalchemy.exc")
    ]


@pytest.mark.parametrize("path", [path for door in DOORS for path in sources(WEBAPP / door)], ids=named)
def test_a_door_has_no_query_and_no_commit(path: Path) -> None:
    assert reaches_for_the_database(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from webapp.core.database.session import db", ["webapp.core.database.session.db"]),
        ("import sqlalchemy as sa", ["sqlalchemy"]),
        ("from sqlalchemy import select", ["sqlalchemy.select"]),
        ("from sqlalchemy import exc", []),
        ("from sqlalchemy.exc import OperationalError", []),
    ],
)
def test_a_query_in_a_door_would_be_found(line: str, found: list[str]) -> None:
    assert reaches_for_the_database(line) == found


@pytest.mark.parametrize("door", ["api", "dashboard", "cli"])
def test_no_door_leads_through_another(door: str) -> None:
    others = [f"webapp.{other}" for other in ("api", "dashboard", "cli") if other != door]
    for path in sources(WEBAPP / door):
        assert [name for name in imports(ast.parse(path.read_text())) if within(name, *others)] == [], named(path)


# --- one writer of status ----------------------------------------------------------------------------------------

WRITERS = ("values", "JobRun", "insert", "update", "execute", "setattr", "set_committed_value", "bulk_update_mappings")


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def writes_of_status(source: str) -> set[int]:
    """The lines that assign ``.status`` or hand a ``status`` to something that writes rows of jobs."""
    found = set()
    about_jobs = "JobRun" in source or "job_runs" in source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.lineno)
        if not isinstance(node, ast.Call) or not about_jobs or _called(node) not in WRITERS:
            continue
        if any(keyword.arg == "status" for keyword in node.keywords) and not _is_the_verb(node):
            found.add(node.lineno)
        for inner in [part for argument in node.args for part in ast.walk(argument)]:
            if isinstance(inner, ast.Dict) and any(_says_status(key) for key in inner.keys):
                found.add(inner.lineno)
            if isinstance(inner, ast.Constant) and inner.value == "status" and "set" in _called(node):
                found.add(inner.lineno)
    return found


def _is_the_verb(call: ast.Call) -> bool:
    """``jobs.update(…)`` is the core's own verb."""
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "jobs"


def _says_status(key: ast.expr | None) -> bool:
    return (isinstance(key, ast.Constant) and key.value == "status") or (
        isinstance(key, ast.Attribute) and key.attr == "status"
    )


@pytest.mark.parametrize("path", [path for path in sources(WEBAPP) if path != JOBS], ids=named)
def test_only_the_core_of_jobs_writes_status(path: Path) -> None:
    assert writes_of_status(path.read_text()) == set()


@pytest.mark.parametrize(
    "line",
    [
        "job.status = JobStatus.FAILED",
        "session.execute(sa.update(JobRun).values(status='failed'))",
        "session.execute(sa.update(JobRun).values({'status': 'failed'}))",
        "session.execute(sa.update(JobRun).values({JobRun.status: 'failed'}))",
        "session.execute(sa.update(JobRun), [{'id': 1, 'status': 'failed'}])",
        "JobRun(status='failed')",
        "setattr(job, 'status', 'failed')",
    ],
)
def test_a_second_writer_of_status_would_be_found(line: str) -> None:
    assert writes_of_status(f"from webapp.core.models import JobRun\n{line}") == {2}


# --- no open wall ------------------------------------------------------------------------------------------------


def verbs_without_a_wall(source: str) -> list[int]:
    """The lines that use one of the core's verbs for a job without saying within which workspace."""
    tree = ast.parse(source)
    modules: set[str] = set()
    functions: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "webapp.core":
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "jobs"}
        if isinstance(node, ast.ImportFrom) and node.module == "webapp.core.jobs":
            functions |= {alias.asname or alias.name for alias in node.names if alias.name in VERBS_WITH_A_WALL}
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "webapp.core.jobs"}

    def is_verb(node: ast.expr) -> bool:
        if isinstance(node, ast.Attribute):
            return node.attr in VERBS_WITH_A_WALL and ast.unparse(node.value) in modules
        return isinstance(node, ast.Name) and node.id in functions

    walled = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_verb(node.func):
            given = [keyword.value for keyword in node.keywords if keyword.arg == "within"]
            if given and not (isinstance(given[0], ast.Constant) and given[0].value is None):
                walled.add(node.func)
    # A verb that is handed on instead of called cannot be followed, so it counts as open.
    return [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.expr) and is_verb(node) and node not in walled
    ]


@pytest.mark.parametrize("path", [path for door in DOORS for path in sources(WEBAPP / door)], ids=named)
def test_both_doors_name_the_workspace_whenever_they_reach_for_a_job(path: Path) -> None:
    assert verbs_without_a_wall(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "open_walls"),
    [
        ("from webapp.core import jobs\njobs.get_job_status(a)", [2]),
        ("from webapp.core import jobs as j\nj.cancel_job(a, within=None)", [2]),
        ("from webapp.core.jobs import cancel_job as stop\nstop(a, by=b)", [2]),
        ("import webapp.core.jobs\nwebapp.core.jobs.apply_report(a, b)", [2]),
        ("from webapp.core import jobs\nmap(jobs.get_job_status, ids)", [2]),
        ("from webapp.core import jobs\njobs.apply_report(a, b, within=w, by=c)", []),
        ("from webapp.core import jobs\nseen.update(a)\njobs.list_events(job)", []),
    ],
)
def test_an_open_wall_would_be_found(source: str, open_walls: list[int]) -> None:
    assert verbs_without_a_wall(source) == open_walls


# --- make --------------------------------------------------------------------------------------------------------


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([\w-]+):(?!=)", text, re.MULTILINE)
    assert f".PHONY: {' '.join(targets)}\n" in text
    # These tests may have been started by make themselves, which would tell its child so.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    run = subprocess.run(["make"], cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    listed = run.stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["make", target] for target in targets]
    assert all(len(line.split()) > 2 for line in listed)


# --- tests -------------------------------------------------------------------------------------------------------

TESTS = ROOT / "tests"


def imported_tests(source: str) -> list[str]:
    """List the test modules and the conftests that a source imports."""
    return [
        name
        for name in imports(ast.parse(source))
        if within(name, "tests", "conftest") and any(re.match(r"test_|conftest$", part) for part in name.split("."))
    ]


@pytest.mark.parametrize(
    "path", [path for path in sources(TESTS) if not path.is_relative_to(TESTS / "clients")], ids=named
)
def test_what_tests_share_stands_in_support_alone(path: Path) -> None:
    assert imported_tests(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "modules"),
    [
        ("from tests.core.jobs.test_cancel import job_of", ["tests.core.jobs.test_cancel.job_of"]),
        ("from tests.core.jobs import test_cancel", ["tests.core.jobs.test_cancel"]),
        ("import tests.browser.conftest", ["tests.browser.conftest"]),
        ("def late():\n    from tests.conftest import page", ["tests.conftest.page"]),
        ("from tests.support.jobs import job_in", []),
    ],
)
def test_a_test_that_imports_another_would_be_found(line: str, modules: list[str]) -> None:
    assert imported_tests(line) == modules
