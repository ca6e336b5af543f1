"""Adds ``flask users``: create, list, change and deactivate accounts."""

import sys

import click
from flask import current_app, render_template

from webapp.cli import limits
from webapp.cli.errors import CommandGroup
from webapp.cli.limits import LimitValue
from webapp.cli.sponsored import keep_option, print_revoked
from webapp.cli.terminal import print_line, print_row
from webapp.core.accounts import accounts, attempts
from webapp.core.audit import SYSTEM
from webapp.core.clock import to_iso
from webapp.core.limits.limits import of_user
from webapp.core.mail import MailNotSent, MailServer
from webapp.core.models import User
from webapp.core.workspaces import offboarding

group = CommandGroup("users", help="Accounts: who may sign in.")

password_stdin = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input; else it is asked for."
)


def _read_password(from_stdin: bool) -> str:
    if from_stdin:
        # The end of the line belongs to the shell's echo, anything else to the password.
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


@group.command()
@click.argument("email")
@click.option("--name", required=True, help="The name that others see.")
@password_stdin
def create(email: str, name: str, from_stdin: bool) -> None:
    """Make an account."""
    user = accounts.create(email, name, _read_password(from_stdin), by=SYSTEM)
    print_line(f"{user.email} can sign in now.")


@group.command("list")
def list_() -> None:
    """Print every account: address, name and, if so, that it is unverified or deactivated."""
    for user in accounts.list_all():
        marks = ["unverified"] * (user.email_verified_at is None) + ["deactivated"] * (user.deactivated_at is not None)
        print_row(user.email, user.name, *marks)


@group.command()
@click.argument("email")
def verify(email: str) -> None:
    """Vouch that the address of an account is that person's."""
    user = accounts.get_by_email(email)
    accounts.verify(user, by=SYSTEM)
    print_line(f"{user.email} is verified.")


@group.command("set-password")
@click.argument("email")
@password_stdin
def set_password(email: str, from_stdin: bool) -> None:
    """Give an account a new password and sign it out everywhere."""
    user = accounts.get_by_email(email)
    accounts.set_password(user, _read_password(from_stdin), by=SYSTEM)
    _send_password_notice(user)
    print_line(f"{user.email} has a new password and is signed out everywhere.")


def _send_password_notice(user: User) -> None:
    server: MailServer | None = current_app.config["MAIL_SERVER"]
    if server is None:
        return
    text = render_template("mail/new_password.txt", user=user, public_url=current_app.config["PUBLIC_URL"])
    try:
        server.send(user.email, "Your Callboard password was changed", text)
    except MailNotSent as error:
        print_line(f"No mail tells {user.email} of it: {error}.", err=True)


@group.command()
@click.argument("email")
@keep_option
def deactivate(email: str, keep_all: bool) -> None:
    """Close an account and sign it out everywhere; what it did stays under its name.

    Its tokens and webhooks are revoked, in every workspace.
    """
    user = accounts.get_by_email(email)
    revoked = offboarding.deactivate(user, keep_all=keep_all, by=SYSTEM)
    print_line(f"{user.email} can no longer sign in.")
    for slug, sponsored in revoked.items():
        print_revoked(slug, sponsored)


@group.command("set-limit")
@click.argument("email")
@click.argument("name")
@click.argument("value", type=LimitValue())
def set_limit(email: str, name: str, value: str) -> None:
    """Set how much a person may have: a number, or default."""
    limits.set_limit(of_user(accounts.get_by_email(email).id), name, value)


@group.command("show-limits")
@click.argument("email")
def show_limits(email: str) -> None:
    """Print how much a person may have."""
    limits.show_limits(of_user(accounts.get_by_email(email).id))


@group.command("sign-ins")
@click.argument("email")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many, the newest.")
def sign_ins(email: str, limit: int) -> None:
    """Print the attempts to sign in to an account: time, outcome, address and browser."""
    for row in attempts.list_sign_ins(accounts.get_by_email(email), limit):
        print_row(to_iso(row.at, "seconds"), row.outcome, row.address, row.user_agent or "")
