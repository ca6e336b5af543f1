"""Adds ``flask maintain``, which does the board's own chores.

Any number of processes may run it; a lease lets one of them at a time do a chore.
"""

import contextlib
import logging
import signal
import threading
import time
import uuid
from collections.abc import Iterable

import click
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from webapp.cli.errors import CommandGroup, describe_database_error
from webapp.cli.terminal import print_line
from webapp.core import clock, metrics
from webapp.core.chores import leases, retention
from webapp.core.chores.schedule import Chore, list_chores
from webapp.core.database import server_clock, sqlite_file
from webapp.core.workspaces import workspaces
from webapp.extensions import outbound
from webapp.logging import log_as_json, log_context

group = CommandGroup("maintain", help="The board's own chores: time-outs, lost jobs, retention.")
log = logging.getLogger(__name__)

CHECK_EVERY = 5.0
"""Seconds between two checks whether a chore is due, and between two renewals of its lease; a quarter of its length."""
PAUSE = 0.05
"""Seconds of pause between two pieces of a chore: SQLite has one writer at a time, and runners want their turn."""


def _print_expired_jobs() -> None:
    """Print for each workspace and status with a retention: slug, status, days, and how many jobs would go."""
    kept = retention.list_all()
    for workspace in workspaces.list_all():
        days = kept.get(workspace.id, {})
        for status, count in retention.count_due(workspace.id, days, cap=None).items():
            print_line(f"{workspace.slug}\t{status}\tolder than {days[status]} days\t{count.count} jobs would go")
    if not kept:
        print_line("No workspace has set a retention: nothing would go.")


@group.command()
@click.option("--dry-run", is_flag=True, help="Print which jobs are older than their workspace keeps them; do nothing.")
def once(dry_run: bool) -> None:
    """Do every chore that is due, once, whatever other processes do."""
    if dry_run:
        _print_expired_jobs()
        return
    server_clock.follow()
    # Without a lease: two that do one chore do no harm, and whoever types this wants it done when it returns.
    for chore in list_chores(outbound()):
        print_line(chore.do(lambda: True))


def _log_failure(chore: Chore, error: Exception) -> None:
    if isinstance(error, SQLAlchemyError):
        log.warning("The chore %s waits. %s", chore.name, describe_database_error(error))
    else:
        log.error("The chore %s failed; it is tried again.", chore.name, exc_info=error)


def _release_lease(chore: Chore, app: Flask, holder: str) -> None:
    with app.app_context(), log_context(chore=chore.name):
        try:
            leases.release(chore.name, holder)
        except SQLAlchemyError as error:
            text = describe_database_error(error)
            log.warning("The lease of the chore %s ends by itself. %s", chore.name, text)


def _run_chore(chore: Chore, app: Flask, holder: str, stop: threading.Event) -> None:
    """Do one chore whenever it is due and its lease is held here; log a failure once, and try again."""
    # By a clock that nobody sets, and not by that of the database, which the process does not know yet.
    due = time.monotonic()
    failing = False
    for outcome in ("done", "failed"):
        metrics.chore_runs.labels(chore.name, outcome)

    def may_continue() -> bool:
        return not stop.wait(PAUSE) and leases.take(chore.name, holder)

    while not stop.is_set():
        # A new session for each turn: nothing read before is kept, and a broken connection is given back.
        with app.app_context(), log_context(chore=chore.name, run=str(uuid.uuid4())):
            try:
                if not leases.take(chore.name, holder):
                    due = time.monotonic()
                elif time.monotonic() >= due:
                    chore.do(may_continue)
                    due = time.monotonic() + chore.every.total_seconds()
                    metrics.chore_runs.labels(chore.name, "done").inc()
                    metrics.chore_last_done.labels(chore.name).set(clock.now().timestamp())
                failing = False
            except Exception as error:
                metrics.chore_runs.labels(chore.name, "failed").inc()
                if not failing:
                    _log_failure(chore, error)
                failing = True
        stop.wait(min(CHECK_EVERY, chore.every.total_seconds()))
    _release_lease(chore, app, holder)


def run_chores(chores: Iterable[Chore], app: Flask, stop: threading.Event) -> None:
    """Do chores again and again until ``stop`` is set, each in a thread of its own: none waits for a slow one."""
    holder = leases.new_holder()
    threads = [
        threading.Thread(target=_run_chore, args=(chore, app, holder, stop), name=chore.name) for chore in chores
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(server_clock.FOLLOW_EVERY):
        # A database that is away is told by the chores.
        with app.app_context(), contextlib.suppress(SQLAlchemyError):
            server_clock.follow()
    for thread in threads:
        thread.join()


@group.command()
def run() -> None:
    """Do the chores until stopped (Ctrl-C or SIGTERM)."""
    log_as_json()
    metrics.process_starts.labels("chores").inc()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # The app itself, because current_app means nothing in another thread.
    run_chores(list_chores(outbound()), current_app._get_current_object(), stop)  # type: ignore[attr-defined]
    sqlite_file.checkpoint()
