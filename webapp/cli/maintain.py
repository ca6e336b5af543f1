"""``flask maintain``: the board's own chores. Any number of processes may run them; each chore is done by one."""

import logging
import signal
import threading
import uuid
from collections.abc import Iterable

import click
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from webapp.cli.refusals import NounGroup, database_trouble
from webapp.core import clock, metrics
from webapp.core.chores import leases, retention
from webapp.core.chores.schedule import Chore, list_chores
from webapp.core.workspaces import workspaces
from webapp.extensions import outbound
from webapp.json_log import about, write_json

group = NounGroup("maintain", help="The board's own chores: time-outs, lost jobs, retention.")
log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks whether a chore is due, and between two renewals of its lease; a quarter of its length."""
BREATH = 0.05
"""Seconds of rest between two pieces of a chore: SQLite has one writer at a time, and runners want their turn."""


@group.command()
@click.option("--dry-run", is_flag=True, help="Print which jobs are older than their workspace keeps them; do nothing.")
def once(dry_run: bool) -> None:
    """Do every chore that is due, once, whatever other processes do."""
    if dry_run:
        _say_what_would_go()
        return
    # No lease is asked: a chore is right beside itself, and whoever types this wants it done when it returns.
    for chore in list_chores(outbound()):
        click.echo(chore.do(lambda: True))


def _say_what_would_go() -> None:
    """A line for each workspace and status of which retention is set: slug, status, days, and jobs that would go."""
    kept = retention.list_all()
    for workspace in workspaces.list_all():
        days = kept.get(workspace.id, {})
        for status, count in retention.count_due(workspace.id, days, cap=None).items():
            click.echo(f"{workspace.slug}\t{status}\tolder than {days[status]} days\t{count.count} jobs would go")
    if not kept:
        click.echo("No workspace has set a retention: nothing would go.")


@group.command()
def run() -> None:
    """Do the chores until stopped (Ctrl-C or SIGTERM)."""
    write_json()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # The app itself, for current_app means nothing in another thread.
    attend_to(list_chores(outbound()), current_app._get_current_object(), stop)  # type: ignore[attr-defined]


def attend_to(chores: Iterable[Chore], app: Flask, stop: threading.Event) -> None:
    """Do chores again and again until told to stop, each in a thread of its own: none waits for a slow one."""
    holder = leases.new_holder()
    threads = [threading.Thread(target=_attend, args=(chore, app, holder, stop), name=chore.name) for chore in chores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _attend(chore: Chore, app: Flask, holder: str, stop: threading.Event) -> None:
    """Do one chore whenever it is due and its lease is ours. What goes wrong is told once, and tried again."""
    due = clock.now()
    failing = False
    for outcome in ("done", "failed"):
        metrics.chore_runs.labels(chore.name, outcome)

    def go_on() -> bool:
        return not stop.wait(BREATH) and leases.take(chore.name, holder)

    while not stop.is_set():
        # A fresh session for each time: nothing read stays, and a broken connection is given back.
        with app.app_context(), about(chore=chore.name, run=str(uuid.uuid4())):
            try:
                if not leases.take(chore.name, holder):
                    due = clock.now()
                elif clock.now() >= due:
                    chore.do(go_on)
                    due = clock.now() + chore.every
                    metrics.chore_runs.labels(chore.name, "done").inc()
                    metrics.chore_last_done.labels(chore.name).set(clock.now().timestamp())
                failing = False
            except Exception as error:
                metrics.chore_runs.labels(chore.name, "failed").inc()
                if not failing:
                    _tell(chore, error)
                failing = True
        stop.wait(min(LOOK_EVERY, chore.every.total_seconds()))
    _let_go(chore, app, holder)


def _tell(chore: Chore, error: Exception) -> None:
    if isinstance(error, SQLAlchemyError):
        log.warning("The chore %s waits. %s", chore.name, database_trouble(error))
    else:
        log.error("The chore %s failed; it is tried again.", chore.name, exc_info=error)


def _let_go(chore: Chore, app: Flask, holder: str) -> None:
    with app.app_context(), about(chore=chore.name):
        try:
            leases.release(chore.name, holder)
        except SQLAlchemyError as error:
            log.warning("The lease of the chore %s ends by itself. %s", chore.name, database_trouble(error))
