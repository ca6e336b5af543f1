"""Adds ``flask demo``, which starts a board with jobs on it in one command; ``make demo`` starts it."""

import json
import secrets
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from flask import current_app
from flask_migrate import upgrade

from webapp.cli.errors import CommandGroup
from webapp.cli.processes import ChildProcesses, claim_port, local_address, start_board
from webapp.cli.terminal import print_line
from webapp.core import demo_data
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.database import sqlite_file
from webapp.core.database.session import db
from webapp.core.errors import NotFound
from webapp.core.models import Role, User, Workspace
from webapp.core.workspaces import members, tokens, workspaces

group = CommandGroup("demo", help="A board with a sample runner at work.")

EMAIL = "demo@example.com"
SLUG = "demo"


@dataclass
class Login:
    """Holds what one start of the demo leaves to the next, in a file that only its owner can read."""

    email: str
    password: str
    token: str = ""

    @classmethod
    def load(cls, path: Path) -> "Login | None":
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise click.ClickException(f"{path} is damaged; remove it, and a new login is made.") from None

    def save(self, path: Path) -> None:
        # With SECRET_KEY in the environment nothing has made the folder yet.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def _ensure_account(login: Login, *, reset_password: bool) -> User:
    try:
        user = accounts.get_by_email(login.email)
    except NotFound:
        return accounts.create(login.email, "Demo operator", login.password, by=SYSTEM)
    if reset_password:
        accounts.set_password(user, login.password, by=SYSTEM)
    return user


def _ensure_operator(path: Path) -> tuple[Login, User]:
    """Return the demo's login and its account, as they are in the file or new; a new login is not saved yet."""
    login = Login.load(path)
    if login is None:
        # The account may outlive the file: then it gets the new password.
        login = Login(EMAIL, secrets.token_urlsafe(12))
        _ensure_account(login, reset_password=True)
    return login, _ensure_account(login, reset_password=False)


def _ensure_workspace(operator: User, slug: str) -> Workspace:
    try:
        workspace = workspaces.get_by_slug_unchecked(slug)
    except NotFound:
        return workspaces.create(slug.replace("-", " ").capitalize(), slug, owner=operator, by=SYSTEM)
    if operator.id not in {member.user_id for member in members.list_members(workspace.id)}:
        members.add_unchecked(workspace, operator, Role.ADMIN, by=SYSTEM)
    return workspace


def _is_usable(token: str, workspace: Workspace) -> bool:
    bearer = tokens.authenticate(token)
    return bearer is not None and bearer.workspace_id == workspace.id and set(tokens.RUNNER_SCOPES) <= bearer.scopes


def prepare(path: Path) -> Login:
    """Bring the database up to date, add to it what the demo lacks, and return who may sign in."""
    upgrade()
    login, operator = _ensure_operator(path)
    workspace = _ensure_workspace(operator, SLUG)
    if not _is_usable(login.token, workspace):
        _, login.token = tokens.create_unchecked(
            workspace.id,
            "Sample runner",
            expires_at=tokens.default_end(current_app.config["TOKEN_LIFETIME"]),
            by=SYSTEM,
        )
    login.save(path)
    # The children open connections of their own.
    db.session.remove()
    db.engine.dispose()
    return login


@group.command()
def run() -> None:
    """Start the server, the chores and a sample runner, and print where to sign in."""
    config = current_app.config
    folder = Path(current_app.root_path).parent
    with ExitStack() as until_stopped:
        with claim_port(config["HOST"], config["PORT"]):
            login = prepare(Path(current_app.instance_path) / "demo.json")
            until_stopped.enter_context(sqlite_file.checkpoint_at_end())
            children = until_stopped.enter_context(ChildProcesses(folder))
            serves = start_board(children, current_app)
        if not serves:
            return
        address = local_address(config["HOST"], config["PORT"])
        children.start(
            "The sample runner",
            str(folder / "examples" / "archive_runner.py"),
            environ={"CALLBOARD_URL": address, "CALLBOARD_TOKEN": login.token},
        )
        print_line(
            f"\n  Callboard   {config['PUBLIC_URL']}\n"
            f"  e-mail      {login.email}\n"
            f"  password    {login.password}\n\n"
            "  A sample runner is at work. Ctrl-C stops everything.\n"
        )
        children.wait()


@group.command()
@click.option("--jobs", "count", type=click.IntRange(1, demo_data.MAX_JOBS), default=20_000, show_default=True)
@click.option("--workspace", "slug", default=SLUG, show_default=True, help="Created if there is none.")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal numbers tell equal fortnights.")
def seed(count: int, slug: str, seed: int) -> None:
    """Fill a workspace with a made-up fortnight of jobs. Run again, it adds another."""
    upgrade()
    path = Path(current_app.instance_path) / "demo.json"
    try:
        workspace = workspaces.get_by_slug_unchecked(slug)
    except NotFound:
        login, operator = _ensure_operator(path)
        workspace = _ensure_workspace(operator, slug)
        login.save(path)
        print_line(f"The workspace {slug} is new; sign in as {login.email} with the password in {path}.")
    with click.progressbar(length=count, label=f"Jobs of {slug}") as bar:
        shown = 0
        for written in demo_data.seed(workspace.id, count, seed=seed, by=SYSTEM):
            bar.update(written - shown)
            shown = written
    print_line(f"{count:,} jobs were added: {current_app.config['PUBLIC_URL']}/w/{slug}/jobs")
