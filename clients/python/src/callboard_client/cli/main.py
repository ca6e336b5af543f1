"""Parse the arguments of the command ``callboard`` and do what they ask for."""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from callboard_client._options import HEARTBEAT_TIMEOUT
from callboard_client.cli import shell
from callboard_client.cli.terminal import CleanFormatter, print_lines
from callboard_client.client import Client
from callboard_client.errors import BoardRefused, CallboardError
from callboard_client.record import STATUSES

DESCRIPTION = "Jobs of a Callboard. CALLBOARD_URL and CALLBOARD_TOKEN name the board."
RUN_DESCRIPTION = """Run a command as a job. Lines like "::progress 40 page 4 of 10" in its output report progress; the
other lines go to the job's log. The exit code is the command's. Without a board the command runs all the same."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say and return the exit code: 2 if the board refused it, 3 if it could not be reached."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(CleanFormatter("callboard: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments) if arguments.command == "run" else _show(arguments)
    except BrokenPipeError:
        # Whoever reads the output read enough: end quietly, as other commands do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except CallboardError as error:
        print_lines([f"callboard: {error}"], sys.stderr)
        return 2 if isinstance(error, BoardRefused) else 3


def _run(arguments: argparse.Namespace) -> int:
    from callboard_client.cli.run import run

    for stream in range(3):
        # The next file that is opened, a connection to the board for one, would take the number of a closed stream.
        with suppress(OSError):
            os.fstat(stream)
            continue
        os.open(os.devnull, os.O_RDWR)
    with Client(spool=arguments.spool) as client:
        job = client.job(
            arguments.type or Path(arguments.program[0]).name or arguments.program[0],
            arguments.payload,
            tags=arguments.tag,
            max_duration=arguments.max_duration,
            heartbeat_timeout=arguments.heartbeat_timeout,
            parent=arguments.parent,
            link=arguments.link,
            key=arguments.key,
        )
        return run(job, arguments.program, grace=arguments.grace)


def _show(arguments: argparse.Namespace) -> int:
    as_json = arguments.json or not sys.stdout.isatty()
    with Client() as client:
        match arguments.command, getattr(arguments, "verb", None):
            case "watch", _:
                return shell.watch(client, type=arguments.type, tag=arguments.tag, as_json=as_json)
            case _, "list":
                filters = {
                    "status": arguments.status,
                    "type": arguments.type,
                    "tag": arguments.tag,
                    "limit": arguments.limit,
                }
                return shell.list_jobs(client, **filters, as_json=as_json)
            case _, "show":
                return shell.show(client, arguments.job, as_json=as_json)
            case _, "cancel":
                return shell.cancel(client, arguments.jobs, as_json=as_json)
            case _:
                return shell.tail(client, arguments.job, follow=arguments.follow, as_json=as_json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="callboard", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    runs = commands.add_parser("run", help="run a command as a job", description=RUN_DESCRIPTION)
    runs.add_argument("--type", help="what kind of job it is (the command's name)")
    runs.add_argument("--payload", type=_object, metavar="JSON", help="its input, as a JSON object")
    runs.add_argument("--tag", action="append", default=[], help="a word to find it by; may be repeated")
    runs.add_argument("--max-duration", type=_positive, metavar="SECONDS", help="stop it after so long")
    runs.add_argument("--heartbeat-timeout", type=_positive, metavar="SECONDS", default=HEARTBEAT_TIMEOUT)
    runs.add_argument("--parent", metavar="JOB", help="the job that it belongs to")
    runs.add_argument("--link", metavar="URL", help="a page about it")
    runs.add_argument("--key", help="your own id for it: a second run with the same key is the same job")
    runs.add_argument("--grace", type=float, default=10.0, metavar="SECONDS", help="from SIGTERM to SIGKILL (10)")
    runs.add_argument("--spool", metavar="FOLDER", help="keep reports here that could not be sent, for the next run")
    runs.add_argument("program", nargs="+", metavar="COMMAND", help="after --, the command and its arguments")

    jobs = commands.add_parser("jobs", help="list, show, cancel and follow jobs")
    verbs = jobs.add_subparsers(dest="verb", required=True, metavar="VERB")
    lists = verbs.add_parser("list", help="jobs, newest first")
    lists.add_argument("--status", action="append", default=[], choices=STATUSES, help="may be repeated")
    lists.add_argument("--limit", type=_positive, default=20, help="how many (20)")
    shows = verbs.add_parser("show", help="one job with its history")
    cancels = verbs.add_parser("cancel", help="cancel jobs")
    cancels.add_argument("jobs", nargs="+", metavar="JOB")
    tails = verbs.add_parser("tail", help="a job's log, until the job ends")
    tails.add_argument("--no-follow", dest="follow", action="store_false", help="only the lines there are")
    for with_job in (shows, tails):
        with_job.add_argument("job", metavar="JOB")
    watches = commands.add_parser("watch", help="running and pending jobs, live")
    for filtered in (lists, watches):
        filtered.add_argument("--type")
        filtered.add_argument("--tag")
    for printing in (lists, shows, cancels, tails, watches):
        printing.add_argument(
            "--json", action="store_true", help="JSON on a terminal as well; elsewhere it is the default"
        )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


if __name__ == "__main__":
    sys.exit(main())
