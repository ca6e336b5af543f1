"""``flask demo``: a board with something on it, in one command. What ``make demo`` starts."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from flask import current_app
from flask_migrate import upgrade

from webapp.cli.processes import Together, local_address, require_free_port, start_board
from webapp.cli.refusals import NounGroup
from webapp.core import demo_data
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.database.session import db
from webapp.core.errors import NotFound
from webapp.core.models import Role, User, Workspace
from webapp.core.workspaces import members, tokens, workspaces

group = NounGroup("demo", help="A board with a sample runner at work.")

EMAIL = "demo@example.com"
SLUG = "demo"


@dataclass
class Login:
    """What the demo remembers from one start to the next, in a file that only its owner can read."""

    email: str
    password: str
    token: str = ""

    @classmethod
    def kept_in(cls, path: Path) -> "Login | None":
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise click.ClickException(f"{path} is damaged; remove it, and a new login is made.") from None

    def keep_in(self, path: Path) -> None:
        # With SECRET_KEY in the environment nothing has made the folder yet.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


@group.command()
def run() -> None:
    """Start the server, the chores and a sample runner, and print where to sign in."""
    config = current_app.config
    require_free_port(config["HOST"], config["PORT"])
    login = prepare(Path(current_app.instance_path) / "demo.json")
    folder = Path(current_app.root_path).parent
    with Together(folder) as together:
        if not start_board(together, current_app):
            return
        address = local_address(config["HOST"], config["PORT"])
        together.start(
            "The sample runner",
            str(folder / "examples" / "archive_runner.py"),
            environ={"CALLBOARD_URL": address, "CALLBOARD_TOKEN": login.token},
        )
        click.echo(
            f"\n  Callboard   {config['PUBLIC_URL']}\n"
            f"  e-mail      {login.email}\n"
            f"  password    {login.password}\n\n"
            "  A sample runner is at work. Ctrl-C stops everything.\n"
        )
        together.wait()


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
        login, operator = _operator(path)
        workspace = _workspace(operator, slug)
        login.keep_in(path)
        click.echo(f"The workspace {slug} is new; sign in as {login.email} with the password in {path}.")
    with click.progressbar(length=count, label=f"Jobs of {slug}") as bar:
        written = 0
        for so_far in demo_data.seed(workspace.id, count, seed=seed, by=SYSTEM):
            bar.update(so_far - written)
            written = so_far
    click.echo(f"{count:,} jobs were added: {current_app.config['PUBLIC_URL']}/w/{slug}/jobs")


def prepare(path: Path) -> Login:
    """Bring the database up to date with all that the demo needs; what is already there is kept."""
    upgrade()
    login, operator = _operator(path)
    workspace = _workspace(operator, SLUG)
    if not _is_good(login.token, workspace):
        _, login.token = tokens.create_unchecked(workspace.id, "Sample runner", by=SYSTEM)
    login.keep_in(path)
    # The children open connections of their own.
    db.session.remove()
    db.engine.dispose()
    return login


def _operator(path: Path) -> tuple[Login, User]:
    """The demo's login and its account, as they are kept or new; a new login is not kept yet."""
    login = Login.kept_in(path)
    if login is None:
        login = Login(EMAIL, secrets.token_urlsafe(12))
        _account(login, forgotten=True)
    return login, _account(login, forgotten=False)


def _account(login: Login, *, forgotten: bool) -> User:
    try:
        user = accounts.get_by_email(login.email)
    except NotFound:
        return accounts.create(login.email, "Demo operator", login.password, by=SYSTEM)
    if forgotten:
        accounts.set_password(user, login.password, by=SYSTEM)
    return user


def _workspace(operator: User, slug: str) -> Workspace:
    try:
        workspace = workspaces.get_by_slug_unchecked(slug)
    except NotFound:
        return workspaces.create(slug.replace("-", " ").capitalize(), slug, owner=operator, by=SYSTEM)
    if operator.id not in {member.user_id for member in members.list_members(workspace.id)}:
        members.add_unchecked(workspace, operator, Role.ADMIN, by=SYSTEM)
    return workspace


def _is_good(token: str, workspace: Workspace) -> bool:
    bearer = tokens.authenticate(token)
    return bearer is not None and bearer.workspace_id == workspace.id and set(tokens.RUNNER_SCOPES) <= bearer.scopes
