"""Adds ``flask tokens``: create, list, rotate and revoke what runners show to be let in."""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from flask import current_app

from webapp.cli.errors import CommandGroup
from webapp.cli.terminal import print_line, print_row
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.models import ApiToken, Scope, TokenStatus
from webapp.core.workspaces import sponsors, tokens, workspaces

group = CommandGroup("tokens", help="API tokens: what runners show to be let in.")

workspace_option = click.option("--workspace", "slug", required=True, metavar="SLUG")


class DaysType(click.ParamType[timedelta]):
    """A number of days, like ``7d``."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        text = str(value).removesuffix("d").strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 5):
            self.fail("It must be days, like 7d.", param, ctx)
        return timedelta(days=int(text))


class EndType(click.ParamType[datetime]):
    """When a token ends: a day, a number of days from now, or ``never``, which is ``datetime.max``."""

    name = "end"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if value == "never":
            return NEVER
        try:
            return datetime.fromisoformat(f"{value}T23:59:59+00:00") if "-" in value else self._after(value, param, ctx)
        except (ValueError, OverflowError):
            self.fail("It must be a day like 2027-11-24, days like 90d, or never.", param, ctx)

    def _after(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        return clock.now() + DaysType().convert(value, param, ctx)


NEVER = datetime.max.replace(tzinfo=UTC)
expires_option = click.option(
    "--expires",
    type=EndType(),
    metavar="DAY|DAYS|never",
    help="The last day like 2027-11-24, days like 90d, or never; TOKEN_LIFETIME from now unless told otherwise.",
)


def _choose_end(expires: datetime | None) -> datetime | None:
    """Return when a new token ends, if ever."""
    if expires is None:
        return tokens.default_end(current_app.config["TOKEN_LIFETIME"])
    return None if expires == NEVER else expires


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
@expires_option
def create(slug: str, name: str, scopes: tuple[str, ...], expires: datetime | None) -> None:
    """Make a token and print it, alone; it is never shown again."""
    workspace = workspaces.get_by_slug_unchecked(slug)
    _, text = tokens.create_unchecked(
        workspace.id, name, scopes=scopes or tokens.RUNNER_SCOPES, expires_at=_choose_end(expires), by=SYSTEM
    )
    print_line(text)


@group.command()
@click.argument("public_id")
@click.option("--overlap", type=DaysType(), default="7d", show_default=True, help="How long the old one still works.")
@expires_option
def rotate(public_id: str, overlap: timedelta, expires: datetime | None) -> None:
    """Make a token that takes the place of another, and print it, alone."""
    _, text = tokens.rotate_unchecked(public_id, overlap=overlap, expires_at=_choose_end(expires), by=SYSTEM)
    print_line(text)


def _describe_status(token: ApiToken, without_sponsor: Collection[uuid.UUID]) -> str:
    standing = token.status(clock.now())
    if standing is not TokenStatus.GOOD:
        return standing.value
    if token.id in without_sponsor:
        return "refused: whoever stood for it may no longer create tokens"
    used = f"last used {token.last_used_at:%Y-%m-%d %H:%M} UTC" if token.last_used_at else "never used"
    return f"{used}, until {token.expires_at:%Y-%m-%d}" if token.expires_at else f"{used}, does not expire"


@group.command("list")
@workspace_option
def list_(slug: str) -> None:
    """Print the tokens of a workspace, newest first, then those that ended in the last 30 days."""
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
