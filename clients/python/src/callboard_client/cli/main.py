"""The command ``callboard``: runs commands as jobs, and looks at a board from a shell."""

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

from callboard_client.cli import shell
from callboard_client.client import HEARTBEAT_TIMEOUT, Client
from callboard_client.errors import BoardRefused, CallboardError
from callboard_client.record import STATUSES

ABOUT = "Jobs of a Callboard. CALLBOARD_URL and CALLBOARD_TOKEN say which board."
RUN = """Run a command as a job. Lines like "::progress 40 page 4 of 10" in its output tell how far it is; the other
lines go to the job's log. The exit code is the command's. Without a board the command runs all the same."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code."""
    logging.basicConfig(format="callboard: %(message)s", level=logging.WARNING, stream=sys.stderr)
    given = _parser().parse_args(arguments)
    try:
        return _run(given) if given.command == "run" else _asked(given)
    except BrokenPipeError:
        # Whoever reads no further ends this quietly, as with every other command.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except CallboardError as error:
        print(f"callboard: {error}", file=sys.stderr)
        return 2 if isinstance(error, BoardRefused) else 3


def _run(given: argparse.Namespace) -> int:
    from callboard_client.cli.run import run

    for stream in range(3):
        # What is closed would be the next file that is opened, a connection to the board for one.
        with suppress(OSError):
            os.fstat(stream)
            continue
        os.open(os.devnull, os.O_RDWR)
    with Client(spool=given.spool) as client:
        job = client.job(
            given.type or Path(given.program[0]).name or given.program[0],
            given.payload,
            tags=given.tag,
            max_duration=given.max_duration,
            heartbeat_timeout=given.heartbeat_timeout,
            parent=given.parent,
            link=given.link,
            key=given.key,
        )
        return run(job, given.program, grace=given.grace)


def _asked(given: argparse.Namespace) -> int:
    as_json = given.json or not sys.stdout.isatty()
    with Client() as client:
        match given.command, getattr(given, "verb", None):
            case "watch", _:
                return shell.watch(client, type=given.type, tag=given.tag, as_json=as_json)
            case _, "list":
                about = {"status": given.status, "type": given.type, "tag": given.tag, "limit": given.limit}
                return shell.list_jobs(client, **about, as_json=as_json)
            case _, "show":
                return shell.show(client, given.job, as_json=as_json)
            case _, "cancel":
                return shell.cancel(client, given.jobs, as_json=as_json)
            case _:
                return shell.tail(client, given.job, follow=given.follow, as_json=as_json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="callboard", description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    runs = commands.add_parser("run", help="run a command as a job", description=RUN)
    runs.add_argument("--type", help="what kind of job it is (the command's name)")
    runs.add_argument("--payload", type=_object, metavar="JSON", help="what it is asked to do, as a JSON object")
    runs.add_argument("--tag", action="append", default=[], help="a word to find it by; may be repeated")
    runs.add_argument("--max-duration", type=_positive, metavar="SECONDS", help="after so long it is stopped")
    runs.add_argument("--heartbeat-timeout", type=_positive, metavar="SECONDS", default=HEARTBEAT_TIMEOUT)
    runs.add_argument("--parent", metavar="JOB", help="the job that it belongs to")
    runs.add_argument("--link", metavar="URL", help="a page about it")
    runs.add_argument("--key", help="your own id for it: a second run with the same key is the same job")
    runs.add_argument("--grace", type=float, default=10.0, metavar="SECONDS", help="from SIGTERM to SIGKILL (10)")
    runs.add_argument("--spool", metavar="FOLDER", help="keep here what the board could not be told, for the next run")
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
    tails.add_argument("--no-follow", dest="follow", action="store_false", help="only what there is")
    for with_job in (shows, tails):
        with_job.add_argument("job", metavar="JOB")
    watches = commands.add_parser("watch", help="what runs and waits, live")
    for filtered in (lists, watches):
        filtered.add_argument("--type")
        filtered.add_argument("--tag")
    for printing in (lists, shows, cancels, tails, watches):
        printing.add_argument("--json", action="store_true", help="JSON on a terminal as well; elsewhere it always is")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("it is no JSON object")
    return value


if __name__ == "__main__":
    sys.exit(main())
