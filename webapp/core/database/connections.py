"""Connects to PostgreSQL, and finds out whether a server that takes long to answer is at work or has fallen silent."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import ConnectionTimeout
from psycopg.waiting import READY_NONE, Ready

from webapp.core import clock
from webapp.core.database.settings import DatabaseSettings, Prepare

ANSWER_MARGIN = 5
"""Seconds beyond those of a statement after which a server counts as gone: a frozen one does not end its statements."""
CHECK_EVERY = 3
"""Seconds without an answer after which, again and again, another connection is asked whether one will come."""
_CHECK_TIMEOUT = "3"

# Whole numbers: of a float a session writes as many digits as its extra_float_digits says.
READ_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""Asks for the time that the server's clock shows, in microseconds since 1970."""
_SESSION_FACTS = (
    f"{READ_CLOCK}, pg_backend_pid(), (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::int"
)
_POOLED_SESSION_MUSTS = "SET DateStyle = ISO; SET TimeZone = UTC"
"""How times are written, for a pooler: it keeps these two for each of its clients and may take no ``options``."""
_IS_AT_WORK = "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'"


class BoardConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever for a server that has fallen silent."""

    answer_timeout: float | None = None
    """Seconds that an answer may take; ``None`` for as long as it takes, as a migration must."""
    is_pooled = False
    has_begun = False
    """Whether the session has begun. A pooler lets its clients connect though no server answers behind it."""
    was_idle = False
    """Whether the server was found doing nothing for this connection, at the last check of the present statement."""
    find_fault: Callable[[], str | None] | None = None
    """Returns why no answer is to be expected any more, if that is so."""

    def begin_session(self, settings: DatabaseSettings) -> None:
        """Learn what kind of session this is, and give a pooled one what it could not be given when it connected."""
        self.answer_timeout = settings.connect_timeout
        # Outside of a transaction, which would still be open when the engine takes the connection over.
        self.autocommit = True
        sent_at = time.time()
        ((shown, backend, milliseconds),) = self.execute(_SESSION_FACTS, prepare=False)
        clock.adjust(shown / 1_000_000, sent_at, time.time())
        seconds = milliseconds / 1000
        # A pooler lets its clients cancel by numbers of its own, which are not those of the sessions behind it.
        self.is_pooled = backend != self.info.backend_pid
        if self.is_pooled:
            self.execute(_POOLED_SESSION_MUSTS, prepare=False)
            # One that takes no options leaves a statement without its limit, unless the role has one.
            seconds = seconds or settings.statement_timeout
        if settings.prepare is Prepare.OFF or (settings.prepare is Prepare.AUTO and self.is_pooled):
            self.prepare_threshold = None
        self.autocommit = False
        # An answer may take a little longer than a statement may in this session.
        self.answer_timeout = seconds + ANSWER_MARGIN if seconds else None
        self.has_begun = True

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Return what the server answers. Raises ``OperationalError`` when that is not to be expected any more."""
        if timeout is not None or self.answer_timeout is None:
            return super().wait(gen, interval, timeout)
        deadline = time.monotonic() + self.answer_timeout
        try:
            return super().wait(gen, interval, min(self.answer_timeout, CHECK_EVERY))
        except psycopg.errors._WaitTimeout:
            pass
        self.was_idle = False
        return super().wait(self._go_on(gen, deadline), interval)

    def _go_on(self, gen: PQGen[RV], deadline: float) -> PQGen[RV]:
        """Wait on for an answer that takes long, as long as there is a reason to."""
        ready: Ready | int = READY_NONE
        check_at = time.monotonic()
        while True:
            try:
                awaited = gen.send(ready)
            except StopIteration as end:
                answer: RV = end.value
                return answer
            if time.monotonic() >= check_at:
                self._require_hope(deadline)
                check_at = min(time.monotonic() + CHECK_EVERY, deadline)
            ready = yield awaited

    def _require_hope(self, deadline: float) -> None:
        """Close the connection if no answer is to be expected any more. Raises ``OperationalError``."""
        fault = "The server did not answer in time." if time.monotonic() >= deadline else None
        if fault := fault or (self.find_fault and self.find_fault()):
            # The answer may still come, and must not be taken for that of the next statement.
            self.pgconn.finish()
            raise psycopg.OperationalError(fault) if self.has_begun else ConnectionTimeout(fault)


class ServerWatch:
    """Opens the connections of an engine, and knows whether its server has fallen silent."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._is_silent = False
        self._trial = threading.Lock()

    def connect(self, arguments: Sequence[str], parameters: Mapping[str, Any]) -> BoardConnection:
        """Open a connection. While the server is silent one thread tries that, and the others are refused at once.

        Raises ``OperationalError``.
        """
        if not self._is_silent:
            return self._try(arguments, parameters)
        if not self._trial.acquire(blocking=False):
            raise ConnectionTimeout("The server does not answer; another thread is trying it.")
        try:
            return self._try(arguments, parameters)
        finally:
            self._trial.release()

    def _try(self, arguments: Sequence[str], parameters: Mapping[str, Any]) -> BoardConnection:
        try:
            connection = self._open(arguments, parameters)
        except ConnectionTimeout:
            self._is_silent = True
            raise
        self._is_silent = False
        connection.find_fault = lambda: self._find_fault(connection, arguments, parameters)
        return connection

    def _open(self, arguments: Sequence[str], parameters: Mapping[str, Any]) -> BoardConnection:
        connection = BoardConnection.connect(*arguments, **parameters)
        try:
            connection.begin_session(self._settings)
        except BaseException:
            connection.close()
            raise
        return connection

    def _find_fault(
        self, waiting: BoardConnection, arguments: Sequence[str], parameters: Mapping[str, Any]
    ) -> str | None:
        """Return why a connection waits for nothing: its server is silent, or does not know what it waits for."""
        same_server = {"host": waiting.info.host, "port": waiting.info.port, "target_session_attrs": "any"}
        try:
            with closing(
                self.connect(arguments, {**parameters, **same_server, "connect_timeout": _CHECK_TIMEOUT})
            ) as other:
                ((is_at_work,),) = other.execute(_IS_AT_WORK, [waiting.info.backend_pid])
        except ConnectionTimeout:
            return "The server has fallen silent."
        except psycopg.Error:
            # It says something: that it is full, or that it starts.
            return None
        # Behind a pooler nobody knows which session is meant. A single look may come just as the answer is sent.
        if waiting.is_pooled or is_at_work or not waiting.was_idle:
            waiting.was_idle = not is_at_work
            return None
        return "The connection has fallen silent, though its server has not."
