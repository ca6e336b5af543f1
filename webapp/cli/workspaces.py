"""Adds ``flask workspaces``: create and list workspaces, add members, hand one over."""

import click

from webapp.cli import limits
from webapp.cli.errors import CommandGroup
from webapp.cli.limits import LimitValue
from webapp.cli.sponsored import keep_option, print_revoked
from webapp.cli.terminal import print_line, print_row
from webapp.core.accounts import accounts
from webapp.core.audit import SYSTEM
from webapp.core.limits.limits import of_workspace
from webapp.core.models import Role, User
from webapp.core.workspaces import members, workspaces
from webapp.core.workspaces import origins as allowed_origins

group = CommandGroup("workspaces", help="Workspaces and their members.")

unverified_option = click.option(
    "--unverified", "may_be_unverified", is_flag=True, help="Also for an address that nobody has shown to be theirs."
)


def _get_user(email: str, may_be_unverified: bool) -> User:
    user = accounts.get_by_email(email)
    if not may_be_unverified:
        accounts.require_verified(user)
    return user


@group.command()
@click.argument("name")
@click.option("--slug", required=True, help="The workspace's part of its address.")
@click.option("--owner", required=True, metavar="EMAIL", help="The account that owns it.")
@unverified_option
def create(name: str, slug: str, owner: str, may_be_unverified: bool) -> None:
    """Make a workspace with its owner."""
    workspace = workspaces.create(name, slug, owner=_get_user(owner, may_be_unverified), by=SYSTEM)
    print_line(f"The workspace {workspace.slug} is there.")


@group.command("add-member")
@click.argument("slug")
@click.argument("email")
@click.option("--role", type=click.Choice([Role.ADMIN.value, Role.MEMBER.value]), default=Role.MEMBER.value)
@unverified_option
def add_member(slug: str, email: str, role: str, may_be_unverified: bool) -> None:
    """Let a person into a workspace."""
    workspace, user = workspaces.get_by_slug_unchecked(slug), _get_user(email, may_be_unverified)
    members.add_unchecked(workspace, user, Role(role), by=SYSTEM)
    print_line(f"{user.email} is {role} of {workspace.slug}.")


@group.command("remove-member")
@click.argument("slug")
@click.argument("email")
@keep_option
def remove_member(slug: str, email: str, keep_all: bool) -> None:
    """Remove a person from a workspace and revoke their tokens and webhooks in it."""
    workspace, user = workspaces.get_by_slug_unchecked(slug), accounts.get_by_email(email)
    revoked = members.remove_unchecked(workspace, user, keep_all=keep_all, by=SYSTEM)
    print_line(f"{user.email} is no longer in {workspace.slug}.")
    print_revoked(slug, revoked)


@group.command()
@click.argument("slug")
@click.argument("email")
@unverified_option
def transfer(slug: str, email: str, may_be_unverified: bool) -> None:
    """Make a member the owner; who was owner becomes admin."""
    workspace, user = workspaces.get_by_slug_unchecked(slug), _get_user(email, may_be_unverified)
    members.transfer_unchecked(workspace, user, by=SYSTEM)
    print_line(f"{user.email} is owner of {workspace.slug}.")


@group.command()
@click.argument("slug")
@click.option("--add", "added", multiple=True, metavar="ORIGIN", help="Like https://app.example.com; several times.")
@click.option("--remove", "removed", multiple=True, metavar="ORIGIN", help="May be given several times.")
def origins(slug: str, added: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Print the web sites whose pages may call the API, after adding and removing some."""
    workspace = workspaces.get_by_slug_unchecked(slug)
    if added or removed:
        gone = {allowed_origins.parse_origin(text) for text in removed}
        kept = [origin for origin in allowed_origins.list_origins(workspace.id) if origin not in gone]
        allowed_origins.replace_unchecked(workspace.id, [*kept, *added], by=SYSTEM)
    for origin in allowed_origins.list_origins(workspace.id):
        print_line(origin)


@group.command("list")
def list_() -> None:
    """Print every workspace: slug, name and members with their roles."""
    for workspace in workspaces.list_all():
        names = ", ".join(f"{member.user.email} ({member.role})" for member in members.list_members(workspace.id))
        print_row(workspace.slug, workspace.name, names)


@group.command("set-limit")
@click.argument("slug")
@click.argument("name")
@click.argument("value", type=LimitValue())
def set_limit(slug: str, name: str, value: str) -> None:
    """Set how much a workspace may have: a number, or default."""
    limits.set_limit(of_workspace(workspaces.get_by_slug_unchecked(slug).id), name, value)


@group.command("show-limits")
@click.argument("slug")
def show_limits(slug: str) -> None:
    """Print how much a workspace may have."""
    limits.show_limits(of_workspace(workspaces.get_by_slug_unchecked(slug).id))
