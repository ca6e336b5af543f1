"""Rules that can be read off the source: imports go down one ladder, one writer of jobs, no open wall, plain names."""

import ast
import os
import re
import subprocess
from collections.abc import Collection
from functools import cache, partial
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from tests.support.paths import ROOT
from tests.support.source import (
    forbidden_chains,
    import_graph,
    imports,
    iterate_defined_names,
    modules_of,
    relative,
    sources,
    within,
)

WEBAPP = ROOT / "webapp"
CORE = WEBAPP / "core"
STORE = CORE / "jobs" / "store.py"
STATEMENTS = CORE / "jobs" / "statements.py"
DOORS = ("api", "dashboard", "cli")
TESTS = ROOT / "tests"

# --- the ladder of the core --------------------------------------------------------------------------------------

LADDER = (
    ("chores", "stats", "demo_data"),
    ("jobs",),
    ("webhooks",),
    ("workspaces",),
    ("accounts",),
    ("limits",),
    ("audit", "mail", "mail_limits", "job_json"),
    ("database",),
    ("models",),
    ("metrics", "hashing", "encryption", "json_text", "validation"),
    ("lifecycle", "clock", "errors", "bidi"),
)
"""The packages of the core, the highest first. Each imports what stands on lower rungs, and itself."""

WEB = (
    "flask", "flask_sqlalchemy", "flask_migrate", "flask_wtf", "htmx_flask", "werkzeug", "jinja2", "wtforms", "click",
)  # fmt: skip
"""What the core does without: each of them is a web framework, belongs to one, or brings one along."""

HEIGHTS = {package: -rung for rung, packages in enumerate(LADDER) for package in packages}


def may_import(module: str, name: str) -> bool:
    """Say whether a module of the core may reach a name, by whatever way."""
    if not within(name, "webapp"):
        return not within(name, *WEB)
    if not within(name, "webapp.core") or module == "webapp.core":
        return False
    if name == "webapp.core":
        return True
    package, other = module.split(".")[2], name.split(".")[2]
    return other == package or HEIGHTS[other] < HEIGHTS[package]


@cache
def graph_of_webapp() -> dict[str, set[str]]:
    return import_graph(modules_of(WEBAPP))


@pytest.mark.parametrize("module", [name for name in modules_of(WEBAPP) if within(name, "webapp.core")])
def test_the_core_imports_only_what_stands_below_and_no_web_framework(module: str) -> None:
    assert forbidden_chains(module, graph_of_webapp(), partial(may_import, module)) == []


def test_every_package_of_the_core_stands_on_one_rung() -> None:
    packages = [path.stem for path in CORE.iterdir() if path.stem != "__init__" and path.name != "__pycache__"]
    assert sorted(packages) == sorted(package for rung in LADDER for package in rung)


@pytest.mark.parametrize(
    ("module", "modules", "chains"),
    [
        (
            "webapp.core.audit",
            {"webapp.core.audit": "from webapp.core.workspaces import members", "webapp.core.workspaces.members": ""},
            ["webapp.core.audit → webapp.core.workspaces.members"],
        ),
        (
            "webapp.core.stats.overview",
            {"webapp.core.stats.overview": "import webapp.core.chores.leases", "webapp.core.chores.leases": ""},
            ["webapp.core.stats.overview → webapp.core.chores.leases"],
        ),
        (
            "webapp.core.accounts.accounts",
            {
                "webapp.core.accounts.accounts": "from webapp.core.database.session import db",
                "webapp.core.database.session": "from webapp.core.jobs.listing import one_page",
                "webapp.core.jobs.listing": "import webapp.core.chores.leases",
                "webapp.core.chores.leases": "",
            },
            ["webapp.core.accounts.accounts → webapp.core.database.session → webapp.core.jobs.listing"],
        ),
        (
            "webapp.core.jobs.store",
            {
                "webapp.core.jobs.store": "from webapp.core.database.session import db",
                "webapp.core.database.session": "def bind():\n    from flask_sqlalchemy import SQLAlchemy",
            },
            ["webapp.core.jobs.store → webapp.core.database.session → flask_sqlalchemy.SQLAlchemy"],
        ),
        (
            "webapp.core.jobs.store",
            {
                "webapp.core.jobs.store": "from webapp.core.database.session import db",
                "webapp.core.database": "import click",
                "webapp.core.database.session": "",
            },
            ["webapp.core.jobs.store → webapp.core.database → click"],
        ),
        (
            "webapp.core.errors",
            {
                "webapp.core.errors": "if TYPE_CHECKING:\n    from webapp.core.models.jobs import JobRow",
                "webapp.core.models.jobs": "",
            },
            ["webapp.core.errors → webapp.core.models.jobs"],
        ),
        (
            "webapp.core.webhooks.sender",
            {
                "webapp.core.webhooks.sender": "from webapp.extensions import outbound",
                "webapp.extensions": "import flask",
            },
            ["webapp.core.webhooks.sender → webapp.extensions"],
        ),
        (
            "webapp.core.jobs.store",
            {
                "webapp.core.jobs.store": "from webapp.core import clock\nfrom webapp.core.jobs import decisions",
                "webapp.core.jobs.decisions": "import sqlalchemy as sa",
                "webapp.core.clock": "",
                "webapp.core": "",
            },
            [],
        ),
    ],
)
def test_an_import_that_leads_upward_or_to_the_web_would_be_found(
    module: str, modules: dict[str, str], chains: list[str]
) -> None:
    assert forbidden_chains(module, import_graph(modules), partial(may_import, module)) == chains


@pytest.mark.parametrize("path", sources(CORE / "models"), ids=relative)
def test_the_tables_know_only_each_other_the_lifecycle_the_time_and_the_cipher(path: Path) -> None:
    allowed = ("webapp.core.models", "webapp.core.lifecycle", "webapp.core.clock", "webapp.core.encryption")
    ours = [name for name in imports(ast.parse(path.read_text())) if within(name, "webapp")]
    assert [name for name in ours if not within(name, *allowed)] == []


@pytest.mark.parametrize("path", sources(WEBAPP), ids=relative)
def test_only_the_clock_asks_what_time_it_is(path: Path) -> None:
    if path == CORE / "clock.py":
        return
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("now", "utcnow", "today")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("datetime", "date", "dt")
    ]
    assert lines == []


# --- doors -------------------------------------------------------------------------------------------------------


def database_imports(source: str) -> list[str]:
    """List what a door imports of the database. What can go wrong with it a door may know, to answer for it."""
    return [
        name
        for name in imports(ast.parse(source))
        if within(name, "sqlalchemy", "flask_sqlalchemy", "webapp.core.database.session.db")
        and not within(name, "sqlalchemy.exc")
    ]


@pytest.mark.parametrize(
    "path", [path for door in ("api", "dashboard") for path in sources(WEBAPP / door)], ids=relative
)
def test_a_door_has_no_query_and_no_commit(path: Path) -> None:
    assert database_imports(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from webapp.core.database.session import db", ["webapp.core.database.session.db"]),
        ("import sqlalchemy as sa", ["sqlalchemy"]),
        ("from sqlalchemy import select", ["sqlalchemy.select"]),
        ("from sqlalchemy import exc", []),
        ("from sqlalchemy.exc import OperationalError", []),
    ],
)
def test_a_query_in_a_door_would_be_found(line: str, names: list[str]) -> None:
    assert database_imports(line) == names


@pytest.mark.parametrize("door", DOORS)
def test_no_door_leads_through_another(door: str) -> None:
    others = [f"webapp.{other}" for other in DOORS if other != door]
    for path in sources(WEBAPP / door):
        assert [name for name in imports(ast.parse(path.read_text())) if within(name, *others)] == [], relative(path)


# --- one writer of jobs ------------------------------------------------------------------------------------------

TABLES = ("JobRun", "JobEvent", "job_runs", "job_events")
WRITING_SQL = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM)\s+\"?(job_runs|job_events)\b", re.IGNORECASE)
WRITES = (
    "insert", "update", "delete", "upsert", "extra_row", "add", "add_all", "merge", "insert_of_engine",
    "bulk_insert_mappings", "bulk_update_mappings", "bulk_save_objects",
)  # fmt: skip


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Call):
        return _called(call.func)
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _table_names(tree: ast.Module) -> set[str]:
    """Return the names of the two tables, and of the variables that hold one of them, or several, or a column."""
    names = set(TABLES)
    for _ in range(2):  # A variable may be a second name of another.
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, ast.For | ast.comprehension):
                targets, value = [node.target], node.iter
            elif isinstance(node, ast.AnnAssign) and node.value:
                targets, value = [node.target], node.value
            else:
                continue
            if _is_table(value, names):
                names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def _is_table(node: ast.expr, names: set[str]) -> bool:
    """Say whether this is one of the tables, a part of one, or a row of some among which it is."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Attribute):
        return node.attr in names or _is_table(node.value, names)
    if isinstance(node, ast.Subscript):
        words = re.findall(r"\w+", ast.unparse(node.slice))
        return _is_table(node.value, names) or not names.isdisjoint(words)
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(_is_table(element, names) for element in node.elts)
    return isinstance(node, ast.ListComp | ast.GeneratorExp) and _is_table(node.elt, names)


def writes_of_jobs(source: str) -> set[int]:
    """Return the lines that insert, update or delete rows of jobs or of their events."""
    tree = ast.parse(source)
    names = _table_names(tree)
    lines = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WRITING_SQL.search(node.value):
            lines.add(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        if _called(node) in ("JobRun", "JobEvent") and (node.args or node.keywords):
            lines.add(node.lineno)
        if _called(node) in WRITES:
            # sa.update(table), and table.update().
            receiver = [node.func.value] if isinstance(node.func, ast.Attribute) and not node.args else []
            if any(_is_table(part, names) for part in [*node.args[:2], *receiver]):
                lines.add(node.lineno)
    return lines


@pytest.mark.parametrize("path", [path for path in sources(WEBAPP) if path not in (STORE, STATEMENTS)], ids=relative)
def test_only_the_store_writes_rows_of_jobs_and_of_their_events(path: Path) -> None:
    assert writes_of_jobs(path.read_text()) == set()


@pytest.mark.parametrize(
    "lines",
    [
        "session.execute(sa.update(JobRun).where(JobRun.id == job_id).values(seen_at=now))",
        "session.execute(JobRun.__table__.delete())",
        "session.add(JobEvent(job_id=job_id))",
        "session.execute(insert_of_engine()(JobRun).values(row))",
        "session.execute(upsert(job_runs, key, values))",
        "session.execute(sa.text('DELETE FROM job_events WHERE job_id = :id'))",
        "TABLE = Base.metadata.tables['job_runs']; session.execute(sa.delete(TABLE))",
        "EVENTS = JobEvent.__table__; TABLE = EVENTS; session.execute(sa.insert(TABLE), rows)",
        "for table in (JobEvent, JobTag): session.execute(sa.delete(table))",
        "for job_id in [tables[model.__tablename__].c.job_id for model in (JobEvent, JobTag)]: sa.delete(job_id.table)",
        "LINE = extra_row('event', job_events, ('job_id', 'at'))",
    ],
)
def test_a_second_writer_of_jobs_would_be_found(lines: str) -> None:
    assert writes_of_jobs(lines) == {1}


@pytest.mark.parametrize(
    "line",
    [
        "session.execute(sa.delete(LogLine).where(LogLine.job_id == JobRun.id))",
        "jobs.update(job.id, report, within=workspace_id, by=by)",
        "rows = session.execute(sa.select(JobRun)); counts.update(total=1)",
        "is_old = job_runs.c.id < first; session.execute(sa.delete(retentions).where(is_old))",
    ],
)
def test_whoever_reads_jobs_or_calls_a_verb_writes_no_row(line: str) -> None:
    assert writes_of_jobs(line) == set()


STATUS_WRITERS = (
    "values", "JobRun", "insert", "update", "execute", "setattr", "set_committed_value", "bulk_update_mappings",
)  # fmt: skip


def writes_of_status(source: str) -> set[int]:
    """Return the lines that assign ``.status`` or hand a ``status`` to something that writes rows of jobs."""
    lines = set()
    about_jobs = "JobRun" in source or "job_runs" in source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.ctx, ast.Store | ast.Del):
            lines.add(node.lineno)
        if not isinstance(node, ast.Call) or not about_jobs or _called(node) not in STATUS_WRITERS:
            continue
        if any(keyword.arg == "status" for keyword in node.keywords) and not _is_the_verb(node):
            lines.add(node.lineno)
        for inner in [part for argument in node.args for part in ast.walk(argument)]:
            if isinstance(inner, ast.Dict) and any(_says_status(key) for key in inner.keys):
                lines.add(inner.lineno)
            if isinstance(inner, ast.Constant) and inner.value == "status" and "set" in _called(node):
                lines.add(inner.lineno)
    return lines


def _is_the_verb(call: ast.Call) -> bool:
    """Say whether this is ``jobs.update(…)``, the core's own verb."""
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "jobs"


def _says_status(key: ast.expr | None) -> bool:
    return (isinstance(key, ast.Constant) and key.value == "status") or (
        isinstance(key, ast.Attribute) and key.attr == "status"
    )


@pytest.mark.parametrize("path", [path for path in sources(WEBAPP) if path != STORE], ids=relative)
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


# --- one way to the terminal -------------------------------------------------------------------------------------

TERMINAL = WEBAPP / "cli" / "terminal.py"


def raw_prints(source: str) -> list[int]:
    """List the lines that print for an administrator without ``print_line``, which escapes what rules a terminal."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func) in ("click.echo", "click.secho", "print", "echo")]


@pytest.mark.parametrize("path", [path for path in sources(WEBAPP / "cli") if path != TERMINAL], ids=relative)
def test_no_command_prints_what_could_rule_a_terminal(path: Path) -> None:
    assert raw_prints(path.read_text()) == []


def test_a_command_that_prints_by_itself_would_be_found() -> None:
    assert raw_prints("import click\nclick.echo(name)\nprint(name)\nprint_line(name)") == [2, 3]


# --- no open wall ------------------------------------------------------------------------------------------------


VERBS_WITH_A_WALL = ("apply_report", "update_job_status", "get_job_status", "cancel_job")


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
            workspaces = [keyword.value for keyword in node.keywords if keyword.arg == "within"]
            if workspaces and not (isinstance(workspaces[0], ast.Constant) and workspaces[0].value is None):
                walled.add(node.func)
    # A verb that is handed on instead of called cannot be followed, so it counts as open.
    return [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.expr) and is_verb(node) and node not in walled
    ]


@pytest.mark.parametrize(
    "path", [path for door in ("api", "dashboard") for path in sources(WEBAPP / door)], ids=relative
)
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


# --- tests -------------------------------------------------------------------------------------------------------


def imported_tests(source: str) -> list[str]:
    """The test modules and the conftests that a source imports."""
    return [
        name
        for name in imports(ast.parse(source))
        if within(name, "tests", "conftest") and any(re.match(r"test_|conftest$", part) for part in name.split("."))
    ]


@pytest.mark.parametrize("path", sources(TESTS), ids=relative)
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


# --- names -------------------------------------------------------------------------------------------------------

NOWHERE = (
    "heard",
    "judged",
    "given",
    "untold",
    "harmless",
    "stands",
    "heir",
    "hand_over",
    "thing",
    "things",
    "it",
    "them",
)
PRIVATE_WORDS = {
    "webapp": (*NOWHERE, "judge", "tell", "hear", "meet", "brake"),
    "clients/python/src": (*NOWHERE, "told", "asked", "wanted", "found", "judge", "tell", "hear", "meet", "brake"),
    "tests": (*NOWHERE, "told", "asked", "wanted", "found", "tell", "meet", "brake"),
}
"""What nothing is named, in each folder: words that do not say what a function does or a variable holds."""


def private_names(source: str, words: Collection[str]) -> list[tuple[str, int]]:
    """List the names that are one of these words, whatever underscores are around it, and their lines."""
    return [(name, line) for name, line in iterate_defined_names(ast.parse(source)) if name.strip("_").lower() in words]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param(path, words, id=relative(path))
        for folder, words in PRIVATE_WORDS.items()
        for path in sources(ROOT / folder)
    ],
)
def test_no_name_is_a_word_that_says_nothing(path: Path, words: tuple[str, ...]) -> None:
    assert private_names(path.read_text(), words) == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def _told(job): ...", [("_told", 1)]),
        ("class Told: ...", [("Told", 1)]),
        ("async def send(*, told=None): ...", [("told", 1)]),
        ("jobs = 1\ntold, other = 1, 2", [("told", 2)]),
        ("with send() as told: ...", [("told", 1)]),
        ("[told for told in jobs]", [("told", 1)]),
        ("class Job:\n    told: str", [("told", 2)]),
        ("self.told = 1", [("told", 1)]),
        ("if (told := send()): ...", [("told", 1)]),
        ("def told_to_stop(): send(told, 'told')", []),
    ],
)
def test_a_name_that_says_nothing_would_be_found(source: str, names: list[tuple[str, int]]) -> None:
    assert private_names(source, ["told"]) == names


LONGEST_NAME = 79


def long_names(source: str) -> list[str]:
    """List the tests whose names are longer than a line has room for."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name) > LONGEST_NAME
    ]


@pytest.mark.parametrize("path", sources(TESTS), ids=relative)
def test_the_name_of_a_test_fits_on_a_line(path: Path) -> None:
    assert long_names(path.read_text()) == []


def test_a_test_with_a_long_name_would_be_found() -> None:
    short, long = f"test_{'x' * 74}", f"test_{'x' * 75}"
    assert long_names(f"def {short}(): ...\nclass Test:\n    def {long}(self): ...") == [long]


# --- pages -------------------------------------------------------------------------------------------------------

LONGEST_LINE = 120
PAGE_FILES = sorted(
    path for folder in ("templates", "static/css", "static/js") for path in (ROOT / folder).rglob("*") if path.is_file()
)
"""The templates, stylesheets and scripts that are written here; ruff holds the same of Python."""
TEMPLATE_WORDS = (*NOWHERE, "told", "asked", "wanted", "found", "answered", "known")


def long_lines(text: str) -> list[int]:
    """List the numbers of the lines that are too long to be read, and compared, side by side."""
    return [number for number, line in enumerate(text.splitlines(), 1) if len(line) > LONGEST_LINE]


@pytest.mark.parametrize("path", PAGE_FILES, ids=relative)
def test_no_line_of_a_page_is_longer_than_120_columns(path: Path) -> None:
    assert long_lines(path.read_text()) == []


def test_a_line_that_is_too_long_would_be_found() -> None:
    assert long_lines(f"{'é' * 120}\n{'é' * 121}\n") == [2]


def squeezed_declarations(css: str) -> list[int]:
    """List the numbers of the lines on which something stands beside a declaration."""
    return [number for number, line in enumerate(css.splitlines(), 1) if re.search(r"[{;]\s*[\w-]+:.*;|;\s*\S", line)]


@pytest.mark.parametrize("path", [path for path in PAGE_FILES if path.suffix == ".css"], ids=relative)
def test_a_stylesheet_has_one_declaration_a_line(path: Path) -> None:
    assert squeezed_declarations(re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)) == []


@pytest.mark.parametrize(
    ("css", "lines"),
    [
        ("a {\n  color: red; margin: 0;\n}", [2]),
        ("a { color: red; }", [1]),
        ("a {\n  color: red; }", [2]),
        ("a:hover,\na:focus {\n  color: red;\n}", []),
    ],
)
def test_a_squeezed_declaration_would_be_found(css: str, lines: list[int]) -> None:
    assert squeezed_declarations(css) == lines


def template_names(source: str) -> set[str]:
    """Return the names of a template's variables, those of the view among them, and of its macros."""
    tree = Environment().parse(source)
    variables = {node.name for node in tree.find_all(nodes.Name)}
    imports = {
        name if isinstance(name, str) else name[1] for node in tree.find_all(nodes.FromImport) for name in node.names
    }
    return variables | imports | {macro.name for macro in tree.find_all(nodes.Macro)}


@pytest.mark.parametrize("path", [path for path in PAGE_FILES if path.suffix in (".html", ".txt")], ids=relative)
def test_no_variable_of_a_template_is_a_word_that_says_nothing(path: Path) -> None:
    assert template_names(path.read_text()).intersection(TEMPLATE_WORDS) == set()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ told.job }}", {"told"}),
        ("{% set told, job = told_jobs %}", {"told", "job", "told_jobs"}),
        ("{% for told in jobs %}{% endfor %}", {"told", "jobs"}),
        ("{% macro told(job) %}{% endmacro %}", {"told", "job"}),
        ('{% from "_macros.html" import moment as told, status %}', {"told", "status"}),
        ("<p>The board told {{ job.told }} and {{ 'told' }}.</p>", {"job"}),
    ],
)
def test_every_name_that_a_template_uses_would_be_found(source: str, names: set[str]) -> None:
    assert template_names(source) == names


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
