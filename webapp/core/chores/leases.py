"""Leases: of any number of processes one does a chore, and when it dies another takes over.

A lease saves work. It does not guard what is true: a process that hung may find, when it goes on, that another has
begun, so that whatever is done under a lease must be right even when two do it at once.
"""

import os
import secrets
import socket
from datetime import timedelta

import sqlalchemy as sa

from webapp.core import clock
from webapp.core.database.statements import upsert
from webapp.core.database.transactions import write_connection
from webapp.core.models import leases

DURATION = timedelta(seconds=20)
"""How long a lease lasts unless its holder renews it: the longest that a chore rests after its process died."""


def new_holder() -> str:
    """Return a name for a process that wants leases, unlike any other's: ``host:pid:random``."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(8)}"


def take(name: str, holder: str) -> bool:
    """Take a lease or renew it, for ``DURATION`` from now. False while another holds it."""
    with write_connection() as connection:
        # Not before: the first connection of a process is what sets its clock.
        now = clock.now()
        mine_or_expired = sa.or_(leases.c.holder == holder, leases.c.until < now)
        statement = upsert(leases, {"name": name}, {"holder": holder, "until": now + DURATION}, where=mine_or_expired)
        return connection.execute(statement.returning(leases.c.name)).first() is not None


def release(name: str, holder: str) -> None:
    """Give a lease back, so that another need not wait for its end. Whoever does not hold it changes nothing."""
    with write_connection() as connection:
        connection.execute(sa.delete(leases).where(leases.c.name == name, leases.c.holder == holder))
