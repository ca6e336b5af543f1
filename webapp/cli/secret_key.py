"""Adds ``flask secret-key``: change the key under which secrets are encrypted."""

import sys

import click

from webapp.cli.errors import CommandGroup
from webapp.cli.terminal import print_line
from webapp.core.encryption import Cipher
from webapp.core.webhooks import secrets

group = CommandGroup("secret-key", help="The key that signs cookies and encrypts secrets.")


@group.command()
@click.option("--old-key-stdin", "from_stdin", is_flag=True, help="Read the old key from standard input.")
def rotate(from_stdin: bool) -> None:
    """Encrypt with the present SECRET_KEY what was encrypted with the old one, which is asked for."""
    if from_stdin:
        old_key = sys.stdin.readline().strip()
    else:
        old_key = click.prompt("The old SECRET_KEY", hide_input=True, err=True)
    count = secrets.change_key(Cipher(old_key))
    print_line(f"Secrets of webhooks that are now encrypted with the present SECRET_KEY: {count}.")
