"""What the commands share that end a person's rights: the option about tokens and webhooks, and what was revoked."""

import click

from webapp.cli.terminal import print_line
from webapp.core.workspaces.sponsors import Sponsored

keep_option = click.option(
    "--keep",
    "keep_all",
    is_flag=True,
    help="Do not revoke the tokens and webhooks: the owner of the workspace, or else an admin, takes them over.",
)


def print_revoked(slug: str, revoked: Sponsored) -> None:
    """Print a line for each token and webhook that was revoked in a workspace."""
    for token in revoked.tokens:
        print_line(f"Revoked in {slug}: the token {token.public_id} ({token.name}).")
    for endpoint in revoked.endpoints:
        print_line(f"Disabled in {slug}: the webhook {endpoint.url}.")
