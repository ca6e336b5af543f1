"""Keeps the clock of this process to that of the database, which decides wherever several machines share a board."""

import logging
import time

from webapp.core import clock
from webapp.core.database.connections import READ_CLOCK
from webapp.core.database.session import db
from webapp.core.database.transactions import read_connection

FOLLOW_EVERY = 2.0
"""Seconds after which a process asks the database for the time again: somebody may set the clock of its machine."""
_WORTH_A_WARNING = 1.0
"""Seconds that a machine's clock may be off, or may have moved since it was warned of, without a line in the log."""

log = logging.getLogger(__name__)
_warned_of = 0.0


def follow() -> None:
    """Take over the time that the clock of PostgreSQL shows. Those who share a SQLite file share a machine as well."""
    global _warned_of
    if db.engine.dialect.name != "postgresql":
        return
    with read_connection() as connection:
        sent_at = time.time()
        shown = connection.exec_driver_sql(READ_CLOCK).scalar_one()
        ahead = clock.adjust(shown / 1_000_000, sent_at, time.time())
    if abs(ahead - _warned_of) > _WORTH_A_WARNING:
        log.warning("The clock of the database decides, and is %+.1f s off this machine's; set both by NTP.", ahead)
        _warned_of = ahead
