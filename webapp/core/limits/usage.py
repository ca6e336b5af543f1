"""Counts what the runners of a workspace send in a day, and refuses more once that is over its limit.

To count each new job in the database would make those of a workspace wait for each other. So a process claims bytes of
a day in lots, by one conditional statement, and gives them out from memory: no statement for most requests, and no more
than the limit in any number of processes. What is left of its lots when a process ends counts as sent.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import TimeoutError

from webapp.core import clock
from webapp.core.database.engine import LOCK_TIMEOUT
from webapp.core.database.session import db
from webapp.core.database.statements import insert_of_engine
from webapp.core.database.transactions import write_connection, write_transaction
from webapp.core.errors import TooManyRequests
from webapp.core.limits import limits
from webapp.core.limits.limits import Limit
from webapp.core.models import daily_usage

MIB = 1024 * 1024
LOT = MIB
"""Bytes that a process claims at a time."""
KEEP = timedelta(days=31)
"""For how long it is known what was sent in a day."""
MAX_RETRY_AFTER = 600
"""Seconds after which a runner that was refused may ask again, though the day lasts longer: a limit may be raised."""


class _Account(NamedTuple):
    """One limit of one workspace on one day."""

    workspace_id: uuid.UUID
    name: str
    day: date


class OverDailyLimit(TooManyRequests):
    """The workspace has sent what it may send in a day."""

    code = "daily_limit"


class Lots:
    """The bytes that one process has claimed of the limits of today, and not given out yet."""

    def __init__(self) -> None:
        # Below zero it owes bytes that were sent all the same.
        self._left: dict[_Account, int] = {}
        self._lock = threading.Lock()
        # Another lock, so that whoever finds enough in memory does not wait for the database.
        self._claim_lock = threading.Lock()

    @contextmanager
    def claimed(self, workspace_id: uuid.UUID | None, limit: Limit, size: int) -> Iterator[None]:
        """Claim bytes for what the block stores, unless it raises; without a workspace there is no limit.

        Raises as ``claim`` does.
        """
        if workspace_id is None:
            yield
            return
        self.claim(workspace_id, limit, size)
        try:
            yield
        except BaseException:
            self.charge(workspace_id, limit, -size)
            raise

    def claim(self, workspace_id: uuid.UUID, limit: Limit, size: int) -> None:
        """Count bytes that a runner wants to send today. Raises ``OverDailyLimit`` if they are over the limit.

        Not within a transaction that writes. Raises ``TimeoutError`` when others claim for too long.
        """
        now = clock.now()
        account = _Account(workspace_id, limit.name, now.date())
        if self._give_out(account, size):
            return
        if not self._claim_lock.acquire(timeout=LOCK_TIMEOUT):
            raise TimeoutError("Other threads of this process have been counting for too long.")
        try:
            if not (self._give_out(account, size) or self._claim_lot(account, limit, size)):
                raise _refuse(account, limit, now)
        finally:
            self._claim_lock.release()

    def charge(self, workspace_id: uuid.UUID, limit: Limit, size: int) -> None:
        """Count bytes that are taken in any case, as the result of a job that runs; the next claim pays for them."""
        self._add(_Account(workspace_id, limit.name, clock.now().date()), -size)

    def _give_out(self, account: _Account, size: int) -> bool:
        with self._lock:
            left = self._left.get(account, 0)
            if left < size:
                return False
            self._left[account] = left - size
        return True

    def _claim_lot(self, account: _Account, limit: Limit, size: int) -> bool:
        """Claim a lot, or at least what is missing, and give out of it; return whether the limit allows that."""
        with self._lock:
            # What there is belongs to this request from here on.
            left = self._left.pop(account, 0)
            for other in [other for other in self._left if other.day != account.day]:
                del self._left[other]
        missing, claimed = size - left, 0
        try:
            claimed = _take_of_day(account, limit, missing)
        finally:
            self._add(account, claimed - missing if claimed else left)
        return claimed > 0

    def _add(self, account: _Account, size: int) -> None:
        with self._lock:
            self._left[account] = self._left.get(account, 0) + size


of_process = Lots()
"""The lots of this process."""


def _refuse(account: _Account, limit: Limit, now: datetime) -> OverDailyLimit:
    most = limits.get_limit(db.session(), limits.of_workspace(account.workspace_id), limit)
    tomorrow = datetime.combine(account.day + timedelta(days=1), time(), UTC)
    wait = min(MAX_RETRY_AFTER, int((tomorrow - now).total_seconds()) + 1)
    return OverDailyLimit(f"{limit.refusal.format(most)} The next day begins at 00:00 UTC.", wait)


def _take_of_day(account: _Account, limit: Limit, missing: int) -> int:
    """Take a lot of a day, or at least what is missing. Returns how much, 0 if that is over the limit."""
    owner = limits.of_workspace(account.workspace_id)
    most = limits.get_limit(db.session(), owner, limit) * MIB
    sizes = (LOT, missing) if missing < LOT else (missing,)
    return next((size for size in sizes if _add(account, size, most)), 0)


def _add(account: _Account, size: int, most: int) -> bool:
    """Add to what is taken of a day, in one statement, unless that would be over ``most``; return whether it is not."""
    if size > most:
        return False
    insert = insert_of_engine()(daily_usage).values(account._asdict() | {"size": size})
    total = daily_usage.c.size + size
    statement = insert.on_conflict_do_update(
        index_elements=list(account._fields), set_={"size": total}, where=total <= most
    )
    with write_connection() as connection:
        return connection.execute(statement.returning(daily_usage.c.size)).first() is not None


# --- for the administrator and the chores ------------------------------------------------------------------------


def get_today(workspace_id: uuid.UUID, limit: Limit) -> int:
    """Return how many bytes the processes have claimed of a limit today."""
    columns = daily_usage.c
    is_today = columns.workspace_id == workspace_id, columns.name == limit.name, columns.day == clock.now().date()
    return db.session.scalar(sa.select(columns.size).where(*is_today)) or 0


def delete_old() -> int:
    """Delete what was counted more than ``KEEP`` ago; returns how many rows that were."""
    with write_transaction() as session:
        old = sa.delete(daily_usage).where(daily_usage.c.day < (clock.now() - KEEP).date())
        return len(session.execute(old.returning(daily_usage.c.day)).all())
