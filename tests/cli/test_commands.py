"""The administrator's commands: what each does, and its one line when it refuses."""

import json
import logging
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import flask_migrate.cli
import httpx
import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from tests.support.apps import dispose, make_app
from tests.support.clock import Clock
from tests.support.jobs import job_in
from tests.support.paths import ROOT
from tests.support.people import PASSWORD, Cast
from tests.support.processes import children, command_line, is_free, on_linux, parent, serve, wait_until_it_serves
from tests.support.servers import StartServer
from tests.support.waiting import wait_until
from webapp.cli import maintain
from webapp.cli.errors import NOT_MIGRATED
from webapp.cli.processes import answers
from webapp.core import jobs
from webapp.core.accounts import accounts, sessions
from webapp.core.audit import SYSTEM, Actor
from webapp.core.chores import retention
from webapp.core.chores.schedule import list_chores
from webapp.core.database import server_clock
from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.lifecycle import JobStatus
from webapp.core.models import ApiToken, Role, User, Workspace
from webapp.core.workspaces import invitations, members, tokens, workspaces

NOBODY = str(uuid.UUID(int=7))


def run(app: Flask, *words: str, stdin: str | None = None) -> Result:
    """One command, as typed."""
    return app.test_cli_runner().invoke(args=words, input=stdin)


def succeed(app: Flask, *words: str, stdin: str | None = None) -> str:
    """What a command that succeeds prints."""
    result = run(app, *words, stdin=stdin)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(app: Flask, *words: str, stdin: str | None = None) -> str:
    """The one line of a command that is refused; nothing of it is on standard output."""
    result = run(app, *words, stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("Error: ").rstrip()


# --- users -------------------------------------------------------------------------------------------------------


def test_a_created_user_can_sign_in_with_the_password_from_standard_input(app: Flask) -> None:
    printed = succeed(
        app, "users", "create", "Dora@example.com", "--name", "Dora", "--password-stdin", stdin=PASSWORD + "\n"
    )
    assert printed == "dora@example.com can sign in now.\n"
    with app.app_context():
        assert sessions.sign_in("dora@example.com", PASSWORD, address="127.0.0.1")


def test_without_the_option_the_password_is_asked_for_twice_and_never_shown(app: Flask) -> None:
    result = run(app, "users", "create", "dora@example.com", "--name", "Dora", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output


def test_an_address_is_taken_once(app: Flask, cast: Cast) -> None:
    line = refused(app, "users", "create", "ADA@example.com", "--name", "A", "--password-stdin", stdin=PASSWORD)
    assert line == "There is already an account for ada@example.com."


def test_every_fault_of_a_new_user_is_told_at_once(app: Flask) -> None:
    line = refused(app, "users", "create", "dora", "--name", " ", "--password-stdin", stdin="short\n")
    assert all(field in line for field in ("password:", "email:", "name:"))
    assert "short" not in line


def test_users_are_listed_by_address_with_who_is_deactivated(app: Flask, cast: Cast) -> None:
    succeed(app, "users", "deactivate", "ben@example.com")
    assert succeed(app, "users", "list").splitlines() == [
        "ada@example.com\tAda",
        "ben@example.com\tBen\tdeactivated",
        "cleo@example.com\tCleo",
    ]


def test_a_new_password_replaces_the_old_one(app: Flask, cast: Cast) -> None:
    succeed(app, "users", "set-password", "ada@example.com", "--password-stdin", stdin="another password\n")
    with app.app_context():
        assert sessions.sign_in("ada@example.com", "another password", address="127.0.0.1")
        with pytest.raises(sessions.WrongPassword):
            sessions.sign_in("ada@example.com", PASSWORD, address="127.0.0.1")


def test_the_attempts_to_sign_in_to_an_account_are_listed_newest_first(app: Flask, cast: Cast, clock: Clock) -> None:
    with app.app_context():
        with pytest.raises(sessions.WrongPassword):
            sessions.sign_in("ada@example.com", "wrong", address="203.0.113.9", user_agent="curl/8\x1b[31m\n")
        clock.advance(minutes=1)
        sessions.sign_in("ada@example.com", PASSWORD, address="127.0.0.1")
    assert succeed(app, "users", "sign-ins", "ada@example.com").splitlines() == [
        "2026-11-24T12:01:00Z\tsigned_in\t127.0.0.1\t",
        "2026-11-24T12:00:00Z\tfailed\t203.0.113.9\tcurl/8\\u001b[31m ",
    ]
    assert succeed(app, "users", "sign-ins", "ada@example.com", "--limit", "1").count("\n") == 1


def test_a_deactivated_user_cannot_sign_in_and_again_changes_nothing(app: Flask, cast: Cast) -> None:
    for _ in range(2):
        assert succeed(app, "users", "deactivate", "ada@example.com") == "ada@example.com can no longer sign in.\n"
    with app.app_context(), pytest.raises(sessions.WrongPassword):
        sessions.sign_in("ada@example.com", PASSWORD, address="127.0.0.1")


@pytest.fixture
def dora(app: Flask, cast: Cast) -> str:
    """The address of somebody who has made an account by a link that was shown, not mailed."""
    with app.app_context():
        ada = workspaces.get_membership("acme", cast.ada.id)
        _, secret = invitations.create(ada, "dora@example.com", "member", by=Actor(cast.ada.ref))
        return invitations.accept_as_new(secret, "Dora", PASSWORD, address=None).email


@pytest.mark.parametrize(
    "words",
    [
        ("workspaces", "add-member", "other", "dora@example.com"),
        ("workspaces", "transfer", "acme", "dora@example.com"),
        ("workspaces", "create", "New", "--slug", "new", "--owner", "dora@example.com"),
    ],
)
def test_an_address_that_nobody_verified_is_refused_unless_told(app: Flask, dora: str, words: tuple[str, ...]) -> None:
    assert "dora@example.com\tDora\tunverified" in succeed(app, "users", "list")
    assert refused(app, *words).startswith("The address dora@example.com is not verified")
    succeed(app, *words, "--unverified")


def test_the_administrator_vouches_for_an_address(app: Flask, dora: str) -> None:
    assert succeed(app, "users", "verify", dora) == "dora@example.com is verified.\n"
    assert "unverified" not in succeed(app, "users", "list")
    succeed(app, "workspaces", "add-member", "other", dora)


@pytest.fixture
def bens_token(app: Flask, cast: Cast) -> str:
    """The text of a token that Ben, made an admin of acme, has created there."""
    with app.app_context():
        members.change_role(workspaces.get_membership("acme", cast.ada.id), cast.ben.id, Role.ADMIN, by=SYSTEM)
        ben = workspaces.get_membership("acme", cast.ben.id)
        return tokens.create(ben, "nightly", scopes=tokens.RUNNER_SCOPES, by=Actor(cast.ben.ref))[1]


END_RIGHTS = pytest.mark.parametrize(
    "words", [("users", "deactivate", "ben@example.com"), ("workspaces", "remove-member", "acme", "ben@example.com")]
)


@END_RIGHTS
def test_whose_rights_end_has_their_tokens_revoked_and_the_command_says_which(
    app: Flask, bens_token: str, words: tuple[str, ...]
) -> None:
    public_id = bens_token.split("_")[1]
    assert succeed(app, *words).splitlines()[1:] == [f"Revoked in acme: the token {public_id} (nightly)."]
    assert succeed(app, "tokens", "list", "--workspace", "acme").endswith("\trevoked\n")
    with app.app_context():
        assert tokens.authenticate(bens_token) is None


@END_RIGHTS
def test_tokens_may_be_handed_over_to_the_owner_instead(
    app: Flask, cast: Cast, bens_token: str, words: tuple[str, ...]
) -> None:
    assert len(succeed(app, *words, "--keep").splitlines()) == 1
    with app.app_context():
        assert tokens.authenticate(bens_token)
        assert tokens.list_tokens(cast.acme.id)[0].sponsor_id == cast.ada.id


def test_an_owner_is_neither_removed_nor_are_their_tokens_handed_to_nobody(app: Flask, cast: Cast) -> None:
    line = refused(app, "workspaces", "remove-member", "acme", "ada@example.com")
    assert line == "ada@example.com owns acme; transfer it first."
    with app.app_context():
        ada = workspaces.get_membership("acme", cast.ada.id)
        _, text = tokens.create(ada, "nightly", scopes=tokens.RUNNER_SCOPES, by=Actor(cast.ada.ref))
    line = refused(app, "users", "deactivate", "ada@example.com", "--keep")
    assert line == "There is nobody else who could take over the tokens and webhooks; revoke them."
    with app.app_context():
        assert tokens.authenticate(text)
        assert sessions.sign_in("ada@example.com", PASSWORD, address="127.0.0.1")


def test_a_token_that_is_refused_because_its_maker_is_gone_is_listed_as_such(
    app: Flask, cast: Cast, bens_token: str
) -> None:
    with app.app_context(), write_transaction() as session:
        accounts.close(session, cast.ben, by=SYSTEM)
    listed = succeed(app, "tokens", "list", "--workspace", "acme")
    assert listed.endswith("\trefused: whoever stood for it may no longer create tokens\n")


@pytest.mark.parametrize(
    "words", [("set-password", "no@example.com", "--password-stdin"), ("deactivate", "no@example.com")]
)
def test_an_unknown_user_is_told_in_one_line(app: Flask, words: tuple[str, ...]) -> None:
    assert refused(app, "users", *words, stdin=PASSWORD) == "There is no account for no@example.com."


# --- workspaces --------------------------------------------------------------------------------------------------


def test_a_workspace_is_created_with_its_owner(app: Flask, cast: Cast) -> None:
    succeed(app, "workspaces", "create", "New one", "--slug", "new-one", "--owner", "ben@example.com")
    with app.app_context():
        assert workspaces.get_membership("new-one", cast.ben.id).role is Role.OWNER


def test_a_slug_is_taken_once(app: Flask, cast: Cast) -> None:
    line = refused(app, "workspaces", "create", "Again", "--slug", "acme", "--owner", "ada@example.com")
    assert line == "There is already a workspace with the slug acme."


def test_a_workspace_needs_an_owner_who_exists_and_a_sound_slug(app: Flask, cast: Cast) -> None:
    line = refused(app, "workspaces", "create", "New", "--slug", "new", "--owner", "no@example.com")
    assert line == "There is no account for no@example.com."
    assert refused(app, "workspaces", "create", "New", "--slug", "-New", "--owner", "ada@example.com").startswith(
        "slug:"
    )


def test_a_member_is_added_once_with_a_role(app: Flask, cast: Cast) -> None:
    words = ("workspaces", "add-member", "acme", "cleo@example.com", "--role", "admin")
    assert succeed(app, *words) == "cleo@example.com is admin of acme.\n"
    assert refused(app, *words) == "cleo@example.com is already in acme."
    with app.app_context():
        assert workspaces.get_membership("acme", cast.cleo.id).role is Role.ADMIN


def test_ownership_goes_to_a_member_alone(app: Flask, cast: Cast) -> None:
    line = refused(app, "workspaces", "transfer", "acme", "cleo@example.com")
    assert line == "cleo@example.com is not a member of acme; add them first."
    for _ in range(2):
        assert (
            succeed(app, "workspaces", "transfer", "acme", "ben@example.com") == "ben@example.com is owner of acme.\n"
        )
    with app.app_context():
        assert workspaces.get_membership("acme", cast.ada.id).role is Role.ADMIN


def test_workspaces_are_listed_with_their_members(app: Flask, cast: Cast) -> None:
    assert succeed(app, "workspaces", "list").splitlines() == [
        "acme\tAcme\tada@example.com (owner), ben@example.com (member)",
        "other\tOther\tcleo@example.com (owner)",
    ]


# --- limits ------------------------------------------------------------------------------------------------------


def test_an_administrator_sets_the_limits_of_a_workspace_and_sees_them(app: Flask, cast: Cast) -> None:
    assert succeed(app, "workspaces", "set-limit", "acme", "webhooks", "30") == "webhooks is 30.\n"
    with app.app_context():
        jobs.enqueue_job("t", cast.acme.id, payload={"a": 1})
    shown = succeed(app, "workspaces", "show-limits", "acme").splitlines()
    assert "webhooks\t30\tset" in shown
    assert "tokens\t100\tdefault" in shown
    assert "log-mib-per-day\t4096\tdefault\t0 MiB today" in shown
    assert "webhooks\t20\tdefault" in succeed(app, "workspaces", "show-limits", "other")
    assert succeed(app, "workspaces", "set-limit", "acme", "webhooks", "default") == "webhooks is 20 (default).\n"


def test_an_administrator_sets_the_limits_of_a_person_and_sees_them(app: Flask, cast: Cast) -> None:
    assert succeed(app, "users", "set-limit", "ada@example.com", "workspaces", "1") == "workspaces is 1.\n"
    assert succeed(app, "users", "show-limits", "ada@example.com") == "workspaces\t1\tset\nsessions\t50\tdefault\n"
    line = refused(app, "workspaces", "create", "More", "--slug", "more", "--owner", "ada@example.com")
    assert line == "A person owns at most 1 workspaces; transfer or delete one first."


def test_a_limit_that_does_not_exist_is_refused_with_those_that_do(app: Flask, cast: Cast) -> None:
    line = refused(app, "users", "set-limit", "ada@example.com", "webhooks", "1")
    assert line == "name: One of workspaces, sessions."
    assert run(app, "workspaces", "set-limit", "acme", "webhooks", "many").exit_code == 2
    assert refused(app, "workspaces", "show-limits", "nowhere") == "There is no workspace with the slug nowhere."


# --- tokens ------------------------------------------------------------------------------------------------------


def test_a_token_is_printed_alone_and_may_read_and_write(app: Flask, cast: Cast) -> None:
    printed = succeed(app, "tokens", "create", "--workspace", "acme", "--name", "nightly")
    with app.app_context():
        bearer = tokens.authenticate(printed.removesuffix("\n"))
    assert bearer
    assert bearer.workspace_id == cast.acme.id
    assert bearer.scopes == {"jobs:read", "jobs:write"}


def test_a_token_has_the_scopes_that_were_asked_for(app: Flask, cast: Cast) -> None:
    words = ("--scope", "jobs:cancel", "--scope", "jobs:read")
    text = succeed(app, "tokens", "create", "--workspace", "acme", "--name", "n", *words).strip()
    with app.app_context():
        bearer = tokens.authenticate(text)
    assert bearer
    assert bearer.scopes == {"jobs:read", "jobs:cancel"}


def test_a_revoked_token_is_refused_and_listed_as_such(app: Flask, cast: Cast, token: str) -> None:
    public_id = token.split("_")[1]
    assert succeed(app, "tokens", "list", "--workspace", "acme").split("\t")[0] == public_id
    for _ in range(2):
        succeed(app, "tokens", "revoke", public_id)
    assert succeed(app, "tokens", "list", "--workspace", "acme").endswith("\trevoked\n")
    with app.app_context():
        assert tokens.authenticate(token) is None


def end_of(app: Flask, text: str) -> datetime | None:
    with app.app_context():
        return db.session.scalar(sa.select(ApiToken.expires_at).where(ApiToken.public_id == text.split("_")[1]))


def test_a_token_ends_after_a_year_unless_told_otherwise(app: Flask, cast: Cast, clock: Clock) -> None:
    create = ("tokens", "create", "--workspace", "acme", "--name", "n")
    for words, end in (
        ((), clock.now() + timedelta(days=365)),
        (("--expires", "30d"), clock.now() + timedelta(days=30)),
        (("--expires", "2030-11-24"), datetime(2030, 11, 24, 23, 59, 59, tzinfo=UTC)),
        (("--expires", "never"), None),
    ):
        assert end_of(app, succeed(app, *create, *words)) == end
    listed = succeed(app, "tokens", "list", "--workspace", "acme").splitlines()
    assert {"does not expire", "until 2030-11-24"} < {line.split(", ")[-1] for line in listed}
    for wrong in ("soon", "-5d", "2030-02-30", "99999999999d"):
        assert run(app, *create, "--expires", wrong).exit_code == 2


def test_a_rotated_token_works_for_a_week_beside_the_new_one(app: Flask, token: str, clock: Clock) -> None:
    public_id = token.split("_")[1]
    new = succeed(app, "tokens", "rotate", public_id).strip()
    assert end_of(app, token) == clock.now() + timedelta(days=7)
    assert end_of(app, new) == clock.now() + timedelta(days=365)
    succeed(app, "tokens", "rotate", public_id, "--overlap", "0d", "--expires", "never")
    assert refused(app, "tokens", "rotate", public_id).endswith("is expired already; create another one.")


def test_what_tokens_refuse_is_one_line(app: Flask, cast: Cast) -> None:
    assert refused(app, "tokens", "revoke", "none") == "There is no such token."
    assert refused(app, "tokens", "list", "--workspace", "no") == "There is no workspace with the slug no."
    assert refused(app, "tokens", "create", "--workspace", "acme", "--name", "").startswith("name:")


# --- jobs --------------------------------------------------------------------------------------------------------


def test_an_enqueued_job_can_be_shown_and_canceled(app: Flask, cast: Cast) -> None:
    payload = '{"month": "2026-10", "größe": 1}'
    words = ("--workspace", "acme", "--payload", payload, "--tag", "a", "--tag", "b", "--heartbeat-timeout", "60")
    id = succeed(app, "jobs", "enqueue", "generate-report", *words).strip()
    shown = json.loads(succeed(app, "jobs", "show", id))
    assert shown["payload"] == json.loads(payload)
    assert (shown["id"], shown["status"], shown["tags"], shown["heartbeat_timeout"]) == (id, "pending", ["a", "b"], 60)
    assert (shown["workspace_id"], shown["created_by"]) == (str(cast.acme.id), "system")
    assert shown["created_at"].endswith("Z")
    for _ in range(2):
        assert succeed(app, "jobs", "cancel", id) == f"The job {id} is canceled.\n"
    assert json.loads(succeed(app, "jobs", "show", id))["status"] == "canceled"


def test_a_job_without_a_workspace_is_for_the_command_line(app: Flask) -> None:
    id = succeed(app, "jobs", "enqueue", "chore").strip()
    assert json.loads(succeed(app, "jobs", "show", id))["workspace_id"] is None


def test_a_finished_job_is_not_canceled(app: Flask) -> None:
    with app.app_context():
        job_id = jobs.enqueue_job("chore", None)
        jobs.update_job_status(job_id, status=JobStatus.FAILED)
    assert refused(app, "jobs", "cancel", str(job_id)) == "The job had already failed and cannot be canceled."


def test_what_jobs_refuse_is_one_line(app: Flask) -> None:
    assert refused(app, "jobs", "show", NOBODY) == "There is no such job."
    assert refused(app, "jobs", "cancel", NOBODY) == "There is no such job."
    assert refused(app, "jobs", "enqueue", "x", "--workspace", "no") == "There is no workspace with the slug no."
    assert refused(app, "jobs", "enqueue", "x", "--payload", "[1]").startswith("payload:")
    assert refused(app, "jobs", "enqueue", "x", "--parent", NOBODY).startswith("parent_id:")


# --- chores ------------------------------------------------------------------------------------------------------


def test_maintain_once_fails_what_ran_too_long(app: Flask, clock: Clock) -> None:
    with app.app_context():
        job_id = jobs.enqueue_job("chore", None, max_duration=10)
        jobs.update_job_status(job_id, status=JobStatus.RUNNING)
    clock.advance(seconds=11)
    assert "Failed 1 timed out and 0 lost jobs.\n" in succeed(app, "maintain", "once")
    assert "Failed 0 timed out and 0 lost jobs.\n" in succeed(app, "maintain", "once")


def test_a_dry_run_prints_what_would_go_and_deletes_nothing(app: Flask, cast: Cast, clock: Clock) -> None:
    nothing = "No workspace has set a retention: nothing would go.\n"
    assert succeed(app, "maintain", "once", "--dry-run") == nothing
    with app.app_context():
        for _ in range(3):
            job_in("completed", cast.acme)
        ada = workspaces.get_membership("acme", cast.ada.id)
        retention.set_retention(ada, {JobStatus.COMPLETED: 7, JobStatus.FAILED: 30}, by=Actor(cast.ada.ref))
    clock.advance(days=8)
    for _ in range(2):
        assert succeed(app, "maintain", "once", "--dry-run").splitlines() == [
            "acme\tcompleted\tolder than 7 days\t3 jobs would go",
            "acme\tfailed\tolder than 30 days\t0 jobs would go",
        ]
    done = succeed(app, "maintain", "once")
    assert "Deleted 3 jobs that are older than their workspace keeps them.\n" in done
    assert "\t0 jobs would go" in succeed(app, "maintain", "once", "--dry-run").splitlines()[0]


def test_the_chores_outlive_a_database_that_is_away_and_say_so_once(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, rounds = threading.Event(), iter([False, False, True])
    wait = stop.wait

    def wait_or_end(seconds: float) -> bool | None:
        """Let the chore go on twice and then end; whoever follows the clock beside it waits."""
        if seconds == server_clock.FOLLOW_EVERY:
            return wait(seconds)
        if next(rounds):
            stop.set()
        return None

    monkeypatch.setattr(stop, "wait", wait_or_end)
    app = make_app(empty_url)
    with caplog.at_level(logging.WARNING):
        maintain.run_chores(list_chores(app.extensions["outbound"])[:1], app, stop)
    dispose(app)
    assert [record.getMessage() for record in caplog.records] == [
        f"The chore liveness waits. {NOT_MIGRATED}",
        f"The lease of the chore liveness ends by itself. {NOT_MIGRATED}",
    ]


# --- every command -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("users", "create"),
        ("users", "create", "dora@example.com"),
        ("workspaces", "add-member", "acme", "cleo@example.com", "--role", "owner"),
        ("tokens", "create", "--workspace", "acme", "--name", "n", "--scope", "jobs:all"),
        ("jobs", "show", "no-id"),
        ("jobs", "enqueue", "x", "--payload", "{"),
        ("jobs", "enqueue", "x", "--payload", "[" * 100_000),
        ("jobs", "enqueue", "x", "--max-duration", "soon"),
        ("maintain", "sometimes"),
    ],
)
def test_a_wrong_argument_is_exit_code_2_without_a_traceback(app: Flask, words: tuple[str, ...]) -> None:
    result = run(app, *words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_text_that_is_not_utf_8_is_told_in_one_line(app: Flask) -> None:
    assert "UTF-8" in refused(app, "workspaces", "create", "\udcff", "--slug", "s", "--owner", "\udcff@example.com")


def test_a_database_that_is_not_migrated_is_told_in_one_line(empty_url: str) -> None:
    app = make_app(empty_url)
    for words in (("users", "list"), ("maintain", "once"), ("jobs", "show", NOBODY)):
        assert refused(app, *words) == NOT_MIGRATED
    dispose(app)


def test_a_database_that_is_away_is_told_in_one_line() -> None:
    app = make_app("postgresql://nobody@127.0.0.1:9/nothing")
    assert refused(app, "users", "list").startswith("The database did not answer; check DATABASE_URL")
    dispose(app)


@pytest.mark.parametrize(
    "words",
    [("upgrade",), ("downgrade", "base"), ("current",), ("stamp", "head"), ("check",), ("revision", "--autogenerate")],
)
def test_the_commands_of_the_database_tell_in_one_line_that_it_is_away(words: tuple[str, ...]) -> None:
    app = make_app("postgresql://nobody@127.0.0.1:9/nothing")
    result = app.test_cli_runner().invoke(flask_migrate.cli.db, words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: The database did not answer; check DATABASE_URL and that it runs: ")
    assert result.stderr.count("\n") == 1
    dispose(app)


def test_an_upgrade_of_what_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ada, this is a letter and not a database.")
    app = make_app(f"sqlite:///{tmp_path / 'letter.txt'}")
    result = app.test_cli_runner().invoke(flask_migrate.cli.db, ["upgrade"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: The database refused this; check DATABASE_URL: file is not a database\n"
    dispose(app)


# --- serve -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_serves_until_told_to_stop_and_leaves_nothing(
    url: str, port: int, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "serve.log"
    with serve(url, port, tmp_path) as process:
        try:
            wait_until_it_serves(process, log)
            assert not is_free(port)
        finally:
            process.send_signal(number)
        assert process.wait(30) == 0
    assert is_free(port)
    [line] = log.read_text().splitlines()
    assert json.loads(line)["message"] == f"Callboard serves on http://127.0.0.1:{port}."


def test_at_a_terminal_serve_says_in_plain_words_that_it_serves(
    sqlite_template: Path, port: int, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    database = shutil.copy(sqlite_template, tmp_path / "callboard.db")
    with serve(f"sqlite:///{database}", port, tmp_path, output=theirs) as process:
        os.close(theirs)
        try:
            said = os.read(ours, 1000).decode() if select.select([ours], [], [], 30)[0] else ""
        finally:
            process.terminate()
        assert process.wait(30) == 0
    os.close(ours)
    assert said == f"Callboard serves on http://127.0.0.1:{port} (Ctrl-C stops it).\r\n"


@pytest.mark.parametrize("host", ["::1", "::"])
def test_serve_listens_on_an_ipv6_address(sqlite_template: Path, port: int, tmp_path: Path, host: str) -> None:
    log = tmp_path / "serve.log"
    database = shutil.copy(sqlite_template, tmp_path / "callboard.db")
    with serve(f"sqlite:///{database}", port, tmp_path, HOST=host) as process:
        try:
            wait_until_it_serves(process, log)
            assert answers("::1", port)
        finally:
            process.terminate()
        assert process.wait(30) == 0
    assert f"Callboard serves on http://[{host}]:{port}." in log.read_text()


def test_a_server_alone_serves_the_app_and_says_that_it_is_well(server: StartServer) -> None:
    [address] = server()
    answer = httpx.get(f"{address}/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


@on_linux
def test_a_worker_that_is_killed_does_not_take_the_board_down(url: str, port: int, tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serve(url, port, tmp_path, WORKERS="2") as process:
        try:
            wait_until_it_serves(process, log)
            [server] = [child for child in children(process.pid) if "webapp.gateway" in command_line(child)]
            killed, steady = children(server)
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: len(set(children(server)) - {killed}) == 2, explain=log.read_text)
            assert steady in children(server)
            assert process.poll() is None, log.read_text()
            wait_until(lambda: answers("127.0.0.1", port), explain=log.read_text)
        finally:
            process.terminate()
        assert process.wait(30) == 0


@on_linux
def test_when_serve_itself_is_killed_the_server_and_the_chores_end_too(url: str, port: int, tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serve(url, port, tmp_path) as process:
        try:
            wait_until_it_serves(process, log)
            left = children(process.pid)
            assert len(left) == 2
        finally:
            process.kill()
    wait_until(lambda: is_free(port) and all(parent(child) is None for child in left), 30, log.read_text)


def test_serve_refuses_a_port_in_use_in_one_line(url: str, port: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", port)), serve(url, port, tmp_path) as process:
        assert process.wait(30) == 1
    assert (tmp_path / "serve.log").read_text() == (
        f"Error: Cannot listen on 127.0.0.1:{port}: address already in use. "
        f"Stop what uses it, or choose another port, for example PORT={port + 1}.\n"
    )


def test_serve_refuses_a_database_that_is_not_migrated(empty_url: str, port: int, tmp_path: Path) -> None:
    with serve(empty_url, port, tmp_path) as process:
        assert process.wait(30) == 1
    assert (tmp_path / "serve.log").read_text() == f"Error: {NOT_MIGRATED}\n"


TOLD_AT_ANY_MOMENT = """
import faulthandler, os, signal, sys
from pathlib import Path
from webapp.cli.processes import ChildProcesses

faulthandler.dump_traceback_later(30, exit=True)
for moment in range(12):
    lines = 0

    def trace(frame, event, _):
        global lines
        lines += event == "line"
        if event == "line" and lines == moment + 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return trace

    with ChildProcesses(Path.cwd()) as children:
        sys.settrace(trace)
        children.wait()
        sys.settrace(None)
"""


def test_whoever_is_told_to_stop_stops_whatever_line_it_is_at() -> None:
    ended = subprocess.run([sys.executable, "-c", TOLD_AT_ANY_MOMENT], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


ONE_DIES = """
from pathlib import Path
import click
from webapp.cli.processes import ChildProcesses
try:
    with ChildProcesses(Path.cwd()) as children:
        children.start("The steady one", "-c", "import time; time.sleep(600)")
        children.start("The weak one", "-c", "raise SystemExit(3)")
        children.wait()
except click.ClickException as error:
    print(error.message)
"""


def test_a_process_that_ends_again_and_again_stops_all_and_is_named() -> None:
    ended = subprocess.run([sys.executable, "-c", ONE_DIES], cwd=ROOT, capture_output=True, text=True, timeout=60)
    stopped = "The weak one ended unexpectedly 10 times within a minute (exit code 3). Callboard has stopped.\n"
    assert ended.stdout == stopped
    assert ended.stderr == "The weak one ended unexpectedly (exit code 3); starting again.\n" * 9


ONE_IS_KILLED = """
import os, signal, sys, threading
from pathlib import Path
from webapp.cli.processes import ChildProcesses

with ChildProcesses(Path.cwd()) as children:
    children.start("It", "-c", "import time; print('begun', flush=True); time.sleep(600)")
    first = children._children["It"].process.pid
    threading.Timer(0.5, os.kill, (first, signal.SIGKILL)).start()
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    children.wait()
    print("another" if children._children["It"].process.pid != first else "the same")
"""


def test_a_process_that_was_killed_is_started_again() -> None:
    ended = subprocess.run([sys.executable, "-c", ONE_IS_KILLED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout.endswith("another\n")
    assert ended.stderr == "It ended unexpectedly (exit code -9); starting again.\n"


# --- the terminal ------------------------------------------------------------------------------------------------


def test_names_from_before_and_texts_of_runners_cannot_rule_the_terminal(app: Flask, cast: Cast, token: str) -> None:
    hostile = "\x9b2J\x7f\u202egnp.exe"
    with app.app_context():
        job_id = jobs.enqueue_job("import", cast.acme.id, payload={hostile: hostile}, by=Actor("system"))
        for model in (User, ApiToken, Workspace):
            db.session.execute(sa.update(model).values(name=hostile))
        db.session.commit()
    for words in ("users list", "workspaces list", "tokens list --workspace acme", f"jobs show {job_id}"):
        shown = succeed(app, *words.split())
        assert r"\u009b2J\u007f\u202egnp.exe" in shown
        assert not set(hostile[:1] + hostile[3:5]) & set(shown)
    job = json.loads(succeed(app, "jobs", "show", str(job_id)))
    assert job["payload"] == {hostile: hostile}
