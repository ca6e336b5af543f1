"""``flask maintain``: the board's own chores. Any number of processes may do them."""

import logging
import signal
import threading

import click
from sqlalchemy.exc import SQLAlchemyError

from webapp.cli.refusals import NounGroup, database_trouble
from webapp.core import liveness
from webapp.extensions import db

group = NounGroup("maintain", help="The board's own chores: time-outs and lost jobs.")
log = logging.getLogger(__name__)

SWEEP_EVERY = 5.0
"""Seconds from the end of one sweep to the next."""


@group.command()
def once() -> None:
    """Do every chore that is due, once."""
    swept = liveness.sweep()
    click.echo(f"Failed {swept.timed_out} timed out and {swept.lost} lost jobs.")


@group.command()
def run() -> None:
    """Do the chores until stopped (Ctrl-C or SIGTERM)."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sweep_until(stop)


def sweep_until(stop: threading.Event) -> None:
    """Sweep again and again. A database that is away is told once, and waited for."""
    away = False
    while not stop.is_set():
        try:
            liveness.sweep()
            away = False
        except SQLAlchemyError as error:
            if not away:
                log.warning("The chores wait. %s", database_trouble(error))
            away = True
        finally:
            # A fresh session for each sweep: nothing read stays, and a broken connection is given back.
            db.session.remove()
        stop.wait(SWEEP_EVERY)
