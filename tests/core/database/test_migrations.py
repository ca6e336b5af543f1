"""The migrations: from nothing to the models, and back, on both engines."""

import ast
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from alembic import op
from flask import Flask

from tests.support.apps import SECRET_KEY, dispose, make_app
from tests.support.paths import ROOT
from webapp.core.database.session import db
from webapp.core.jobs import error_groups
from webapp.core.models import Base, JobRun

MIGRATIONS = ROOT / "migrations"
INSERT_JOB = sa.text(
    "INSERT INTO job_runs (id, type, status, error, progress, created_by, created_at, updated_at, tags, version)"
    " VALUES (:id, 't', :status, :error, 0, 'system', :at, :at, '[]', 1)"
)


NOON = "2026-11-24 12:00:00+00:00"
NAMES = ("owner", "admin", "member", "closed")
"""The people of a workspace, by what they are there; the account of the last, an admin, is closed."""


def insert(connection: sa.Connection, table: str, **values: object) -> str:
    """Insert a row with an id of its own into a table as it is at that revision; the id."""
    values = {"id": uuid.uuid4().hex, "created_at": NOON} | values
    values = {name: value for name, value in values.items() if value is not None}
    places = ", ".join(f":{name}" for name in values)
    connection.execute(sa.text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"), values)
    return str(values.get("id"))


def insert_user(connection: sa.Connection, name: str, deactivated_at: str | None = None) -> str:
    email = f"{name}@example.com"
    return insert(connection, "users", email=email, name=name, password_hash="x", deactivated_at=deactivated_at)


def insert_workspace(connection: sa.Connection) -> tuple[str, dict[str, str]]:
    """Insert a workspace and its people; its id and theirs."""
    workspace = insert(connection, "workspaces", name="Acme", slug="acme")
    users = {name: insert_user(connection, name, NOON if name == "closed" else None) for name in NAMES}
    for name, user in users.items():
        role = "admin" if name == "closed" else name
        insert(connection, "memberships", id=None, workspace_id=workspace, user_id=user, role=role)
    return workspace, users


def job_row(number: int, status: str, error: str | None = None) -> dict[str, str | None]:
    return {"id": uuid.UUID(int=number).hex, "status": status, "error": error, "at": "2026-11-24 12:00:00+00:00"}


@pytest.fixture
def bare(empty_url: str) -> Iterator[Flask]:
    """The app on a database without any table, its context pushed."""
    app = make_app(empty_url)
    with app.app_context():
        yield app
    dispose(app)


def tables() -> set[str]:
    db.session.remove()
    return set(sa.inspect(db.engine).get_table_names())


def test_from_nothing_to_head_the_models_and_the_database_agree(bare: Flask) -> None:
    assert tables() == set()
    flask_migrate.upgrade()
    assert tables() == {*Base.metadata.tables, "alembic_version"}
    flask_migrate.check()


def test_upgrading_again_changes_nothing(bare: Flask) -> None:
    flask_migrate.upgrade()
    before = tables()
    flask_migrate.upgrade()
    assert tables() == before


def test_down_to_base_nothing_is_left_and_up_again_works(bare: Flask) -> None:
    flask_migrate.upgrade()
    flask_migrate.downgrade(revision="base")
    assert tables() == {"alembic_version"}
    flask_migrate.upgrade()
    flask_migrate.check()


def test_a_difference_between_models_and_database_would_be_found(bare: Flask) -> None:
    flask_migrate.upgrade()
    with db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE users ADD COLUMN nickname VARCHAR(20)"))
    with pytest.raises(SystemExit):
        flask_migrate.check()


def test_a_board_with_jobs_comes_up_from_every_earlier_revision(bare: Flask) -> None:
    flask_migrate.upgrade()
    rows = [job_row(1, "pending"), job_row(2, "failed", "boom 1"), job_row(3, "canceled")]
    with db.engine.begin() as connection:
        connection.execute(INSERT_JOB, rows)
    revisions = sorted(path.name[:4] for path in MIGRATIONS.glob("versions/*.py"))
    assert len(revisions) >= 10
    for revision in reversed(revisions[:-1]):
        flask_migrate.downgrade(revision=revision)
        flask_migrate.upgrade()
        with db.engine.connect() as connection:
            jobs = connection.execute(sa.text("SELECT status, error FROM job_runs ORDER BY id")).all()
        assert [tuple(job) for job in jobs] == [(row["status"], row["error"]) for row in rows], revision
    flask_migrate.check()


PACKAGES_OF_A_MIGRATION = {"sqlalchemy", "alembic", *sys.stdlib_module_names}


def live_imports(source: str) -> list[str]:
    """Return the modules that a migration imports beyond the standard library, SQLAlchemy and Alembic."""
    modules: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append("." * node.level + (node.module or ""))
    return [module for module in modules if module.partition(".")[0] not in PACKAGES_OF_A_MIGRATION]


@pytest.mark.parametrize("path", sorted(MIGRATIONS.glob("versions/*.py")), ids=lambda path: path.stem)
def test_a_migration_imports_no_code_of_the_board(path: Path) -> None:
    assert live_imports(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from webapp.core.clock import UtcDateTime", ["webapp.core.clock"]),
        ("def upgrade():\n    import webapp.core.jobs", ["webapp.core.jobs"]),
        ("from . import shared", ["."]),
        ("import hashlib\nimport sqlalchemy as sa\nfrom alembic import op", []),
    ],
)
def test_a_migration_that_imports_code_of_the_board_would_be_found(source: str, modules: list[str]) -> None:
    assert live_imports(source) == modules


def test_a_new_migration_is_written_without_code_of_the_board(bare: Flask, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    flask_migrate.upgrade()
    with db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE users DROP COLUMN deactivated_at"))
    flask_migrate.migrate(directory=str(folder), rev_id="9999", message="again")
    source = (folder / "versions" / "9999_again.py").read_text()
    assert "sa.Column('deactivated_at', sa.DateTime(timezone=True), nullable=True)" in source
    assert live_imports(source) == []


CONTRACTING = {"drop_column", "drop_table", "rename_table", "alter_column"}


def contracts(source: str) -> set[str]:
    """Return what an upgrade does that servers of the version before may stumble over."""
    functions = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    calls = (node for each in functions if each.name != "downgrade" for node in ast.walk(each))
    return {node.attr for node in calls if isinstance(node, ast.Attribute)} & CONTRACTING


@pytest.mark.parametrize("path", sorted(MIGRATIONS.glob("versions/*.py"))[14:], ids=lambda path: path.stem)
def test_a_migration_that_takes_something_away_says_whom_it_still_serves(path: Path) -> None:
    source = path.read_text()
    assert not contracts(source) or "oldest_served" in source


def test_what_takes_something_away_would_be_found() -> None:
    assert contracts("def upgrade():\n    op.drop_column('a', 'b')\ndef downgrade():\n    pass") == {"drop_column"}
    assert (
        contracts("def upgrade():\n    op.add_column('a', b)\ndef downgrade():\n    op.drop_column('a', 'b')") == set()
    )


def test_jobs_that_failed_before_they_were_grouped_are_marked(bare: Flask) -> None:
    flask_migrate.upgrade(revision="0008")
    errors = [f"boom {number}" for number in range(1001)]
    rows = [job_row(number, "failed", error) for number, error in enumerate([*errors, None])]
    with db.engine.begin() as connection:
        connection.execute(INSERT_JOB, [*rows, job_row(1002, "completed")])
    flask_migrate.upgrade()
    with db.engine.connect() as connection:
        groups = connection.execute(sa.text("SELECT error_group FROM job_runs ORDER BY id")).scalars().all()
    alike, none = error_groups.make_fingerprint("t", "boom 9"), error_groups.make_fingerprint("t", None)
    assert groups == [alike] * 1001 + [none, None]


def test_no_index_knows_anything_that_progress_moves() -> None:
    """On PostgreSQL such a report then changes no index at all, and the row stays on its page."""
    moved = {"progress", "message", "result", "link", "runner", "updated_at", "last_seen_at", "version"}
    indexes = JobRun.metadata.tables[JobRun.__tablename__].indexes
    assert len(indexes) > 5
    for index in indexes:
        condition = str(index.dialect_options["postgresql"]["where"])
        assert not {column for column in moved if column in index.columns or column in condition}, index.name


@pytest.mark.parametrize("constraint", ["progress = 101", "status = 'done'", "failure_reason = 'bad luck'"])
def test_the_database_itself_refuses_what_no_job_may_be(core: Flask, constraint: str) -> None:
    insert = sa.text(
        "INSERT INTO job_runs (id, type, status, progress, created_by, created_at, updated_at, tags, version)"
        " VALUES ('0193a00000007000800000000000000a', 't', 'pending', 0, 'system', :at, :at, '[]', 1)"
    )
    with db.engine.begin() as connection:
        connection.execute(insert, {"at": "2026-11-24 12:00:00+00:00"})
    with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE job_runs SET {constraint}"))


def test_upgrades_that_begin_at_once_wait_for_each_other(bare: Flask, empty_url: str) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    environ = os.environ | {"DATABASE_URL": empty_url, "SECRET_KEY": SECRET_KEY}
    upgrades = [
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [upgrade.communicate(timeout=100)[0] for upgrade in upgrades]
    assert [upgrade.returncode for upgrade in upgrades] == [0, 0], outputs
    assert sum(b"Running upgrade" in output for output in outputs) == 1
    flask_migrate.check()


def test_an_upgrade_that_breaks_off_leaves_the_database_as_it_was(bare: Flask) -> None:
    flask_migrate.upgrade(revision="0008")
    before = tables()
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(op, "drop_index", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            flask_migrate.upgrade()
    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0008"
        assert "error_group" not in {column["name"] for column in sa.inspect(connection).get_columns("job_runs")}
    assert tables() == before
    flask_migrate.upgrade()
    flask_migrate.check()


def test_sqlite_holds_its_foreign_keys_after_migrating(bare: Flask) -> None:
    flask_migrate.upgrade()
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_sign_ins_that_sessions_still_show_are_taken_over(bare: Flask) -> None:
    flask_migrate.upgrade(revision="0011")
    user, at = uuid.uuid4().hex, "2026-11-24 12:00:00+00:00"
    addresses = ["203.0.113.7", "2001:db8:1:2:3::1", None]
    with db.engine.begin() as connection:
        add_user = "INSERT INTO users (id, email, name, password_hash, created_at) VALUES (:id, 'a@b.c', 'A', 'x', :at)"
        connection.execute(sa.text(add_user), {"id": user, "at": at})
        add_session = (
            "INSERT INTO sessions (id, secret_hash, user_id, created_at, last_seen_at, expires_at, address, user_agent)"
            " VALUES (:id, :hash, :user, :at, :at, :at, :address, 'Firefox')"
        )
        rows = [
            {"id": uuid.uuid4().hex, "hash": str(address), "user": user, "at": at, "address": address}
            for address in addresses
        ]
        connection.execute(sa.text(add_session), rows)
    flask_migrate.upgrade()
    with db.engine.connect() as connection:
        sign_ins = connection.execute(sa.text("SELECT outcome, network, user_agent FROM sign_ins ORDER BY network"))
        assert [tuple(row) for row in sign_ins] == [
            ("signed_in", "2001:db8:1:2::/64", "Firefox"),
            ("signed_in", "203.0.113.7", "Firefox"),
            ("signed_in", "unknown", "Firefox"),
        ]


def test_what_managers_created_counts_by_their_right_and_the_rest_by_the_owners(bare: Flask) -> None:
    flask_migrate.upgrade(revision="0013")
    with db.engine.begin() as connection:
        acme, users = insert_workspace(connection)
        users["stranger"] = insert_user(connection, "stranger")
        for number, creator in enumerate([*(f"user:{uuid.UUID(user)}" for user in users.values()), "system"]):
            values = {"workspace_id": acme, "created_by": creator}
            key = {"secret_hash": str(number)}
            insert(connection, "api_tokens", public_id=str(number), name=str(number), scopes="[]", **values, **key)
            url = f"https://a.example/{number}"
            insert(connection, "webhook_endpoints", url=url, secret="x", events="[]", **values)
            email = f"{number}@b.example"
            insert(connection, "invitations", email=email, role="member", expires_at=NOON, **values, **key)
    flask_migrate.upgrade()
    names = {uuid.UUID(user).hex: name for name, user in users.items()}
    with db.engine.connect() as connection:
        sponsors = {}
        for table, order in (("api_tokens", "name"), ("webhook_endpoints", "url"), ("invitations", "email")):
            ids = connection.execute(sa.text(f"SELECT sponsor_id FROM {table} ORDER BY {order}")).scalars()
            sponsors[table] = [names[uuid.UUID(str(each)).hex] if each else None for each in ids]
    # In the order in which they created: owner, admin, member, closed, stranger, the administrator.
    working_on = ["owner", "admin", "owner", "owner", "owner", None]
    assert sponsors["api_tokens"] == sponsors["webhook_endpoints"] == working_on
    # An open invitation ends with the right of whoever sent it.
    assert sponsors["invitations"] == ["owner", "admin", "member", "closed", "stranger", None]


def test_addresses_of_accounts_that_the_administrator_created_count_as_verified(bare: Flask) -> None:
    flask_migrate.upgrade(revision="0014")
    with db.engine.begin() as connection:
        users = {name: insert_user(connection, name) for name in ("created", "invited", "unknown")}
        for name, actor, action in (
            ("created", "system", "user.created"),
            ("invited", f"user:{uuid.UUID(users['invited'])}", "user.created"),
            ("unknown", "system", "user.password_set"),
        ):
            resource = f"user:{uuid.UUID(users[name])}"
            row = {"created_at": None, "at": NOON, "actor": actor, "action": action, "resource": resource}
            insert(connection, "audit_log", **row)
    flask_migrate.upgrade()
    with db.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT name, created_at, email_verified_at FROM users"))
        assert {row.name: row.email_verified_at == row.created_at for row in rows} == {
            "created": True,
            "invited": False,
            "unknown": False,
        }
