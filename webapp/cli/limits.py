"""Shows and sets limits, for the commands about workspaces and about people."""

import click

from webapp.cli.terminal import print_line, print_row
from webapp.core.audit import SYSTEM
from webapp.core.limits import limits, usage
from webapp.core.limits.limits import LOG_SIZE, PAYLOAD_SIZE, Owner


class LimitValue(click.ParamType[str]):
    """A whole number, or the word default."""

    name = "number"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value != "default" and not (value.isascii() and value.isdigit()):
            self.fail(f"{value!r} is neither a whole number nor default.", param, ctx)
        return value


def set_limit(owner: Owner, name: str, value: str) -> None:
    """Set a limit, and say which holds now."""
    limits.set_limit(owner, name, None if value == "default" else int(value), by=SYSTEM)
    (current,) = [limit for limit in limits.list_limits(owner) if limit.name == name]
    print_line(f"{name} is {current.value}{' (default)' if current.is_default else ''}.")


def show_limits(owner: Owner) -> None:
    """Print every limit with its value, whether that is the default, and of a daily one what is taken today."""
    for limit in limits.list_limits(owner):
        line = [limit.name, str(limit.value), "default" if limit.is_default else "set"]
        for daily in (PAYLOAD_SIZE, LOG_SIZE):
            if limit.name == daily.name:
                line.append(f"{usage.get_today(owner.id, daily) / usage.MIB:.0f} MiB today")
        print_row(*line)
