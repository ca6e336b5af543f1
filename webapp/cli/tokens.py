"""Adds ``flask tokens``: create, list and revoke what runners show to be let in."""

import uuid
from collections.abc import Collection

import click

from webapp.cli.errors import CommandGroup
from webapp.cli.terminal import print_line, print_row
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.models import ApiToken, Scope, TokenStatus
from webapp.core.workspaces import sponsors, tokens, workspaces

group = CommandGroup("tokens", help="API tokens: what runners show to be let in.")

workspace_option = click.option("--workspace", "slug", required=True, metavar="SLUG")


@group.command()
@workspace_option
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="May be given several times; jobs:read and jobs:write unless told otherwise.",
)
def create(slug: str, name: str, scopes: tuple[str, ...]) -> None:
    """Make a token and print it, alone; it is never shown again."""
    workspace = workspaces.get_by_slug_unchecked(slug)
    _, text = tokens.create_unchecked(workspace.id, name, scopes=scopes or tokens.RUNNER_SCOPES, by=SYSTEM)
    print_line(text)


def _describe_status(token: ApiToken, without_sponsor: Collection[uuid.UUID]) -> str:
    standing = token.status(clock.now())
    if standing is not TokenStatus.GOOD:
        return standing.value
    if token.id in without_sponsor:
        return "refused: whoever stood for it may no longer create tokens"
    return f"last used {token.last_used_at:%Y-%m-%d %H:%M} UTC" if token.last_used_at else "never used"


@group.command("list")
@workspace_option
def list_(slug: str) -> None:
    """Print the tokens of a workspace, newest first: public id, name, scopes and standing."""
    workspace_id = workspaces.get_by_slug_unchecked(slug).id
    without_sponsor = sponsors.list_without_sponsor(workspace_id, ApiToken)
    for token in tokens.list_tokens(workspace_id):
        status = _describe_status(token, without_sponsor)
        print_row(token.public_id, token.name, " ".join(token.scopes), status)


@group.command()
@click.argument("public_id")
def revoke(public_id: str) -> None:
    """Refuse a token from now on."""
    token = tokens.revoke_unchecked(public_id, by=SYSTEM)
    print_line(f"The token {token.public_id} ({token.name}) is refused from now on.")
