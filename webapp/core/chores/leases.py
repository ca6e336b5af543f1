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
from webapp.core.models import Base, Lease

LENGTH = timedelta(seconds=20)
"""How long a lease lasts unless its holder renews it: the longest that a chore rests after its process died."""

_LEASES = Base.metadata.tables[Lease.__tablename__]


def new_holder() -> str:
    """A name for a process that wants leases, unlike any other's: ``host:pid:random``."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(8)}"


def take(name: str, holder: str) -> bool:
    """Take a lease or renew it, for ``LENGTH`` from now. False while another holds it."""
    now = clock.now()
    mine_or_over = sa.or_(_LEASES.c.holder == holder, _LEASES.c.until < now)
    statement = upsert(_LEASES, {"name": name}, {"holder": holder, "until": now + LENGTH}, where=mine_or_over)
    with write_connection() as connection:
        return connection.execute(statement.returning(_LEASES.c.name)).first() is not None


def let_go(name: str, holder: str) -> None:
    """Give a lease back, so that another need not wait for its end. Whoever does not hold it changes nothing."""
    with write_connection() as connection:
        connection.execute(sa.delete(_LEASES).where(_LEASES.c.name == name, _LEASES.c.holder == holder))
