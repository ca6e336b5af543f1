"""Connects to PostgreSQL so that a server that is away, silent or read-only is noticed in seconds and left for good."""

from collections.abc import Mapping
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo
from sqlalchemy.engine import Engine, ExceptionContext

from webapp.core.database.connections import BoardConnection, ServerWatch
from webapp.core.database.settings import DatabaseSettings

_CONNECTION_DEFAULTS: Mapping[str, str] = {
    # What was sent and is not acknowledged, in milliseconds; then what nobody sends on, in seconds.
    "tcp_user_timeout": "10000",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    # Of several hosts the one that takes writes: during a failover the old one may still answer.
    "target_session_attrs": "read-write",
}
"""Parameters of libpq (https://www.postgresql.org/docs/current/libpq-connect.html) that the address may set anew."""
_SESSION_MUSTS = "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=1"
"""How times are written, of which the driver reads no other, and numbers, whole."""
_READ_ONLY = "25006"
_CANNOT_CONNECT_NOW = "57P03"
_CONNECTION_EXCEPTIONS = "08"


def find_fault_of_parameters(url: sa.URL) -> str | None:
    """Return what the driver has against the parameters of an address, in its words, without asking a server."""
    _, parameters = url.get_dialect()().create_connect_args(url)
    try:
        timeout_from_conninfo(conninfo_to_dict(make_conninfo("", **parameters)))
    except psycopg.Error as error:
        return str(error).strip()
    return None


def connect_args(url: sa.URL, settings: DatabaseSettings, *, lock_timeout: int) -> dict[str, str]:
    """Return the parameters of a connection that stand beside those of the address.

    Its ``options`` are kept, between the defaults that they may change and what has to be as it is. ``lock_timeout``
    is in seconds.
    """
    of_address = url.query.get("options", "")
    options = [f"-c lock_timeout={lock_timeout}s", f"-c statement_timeout={settings.statement_timeout}s"]
    options += [of_address] if isinstance(of_address, str) else of_address
    options.append(_SESSION_MUSTS)
    defaults = {"connect_timeout": str(settings.connect_timeout)} | dict(_CONNECTION_DEFAULTS)
    defaults = {name: value for name, value in defaults.items() if name not in url.query}
    return defaults | {"options": " ".join(filter(None, options)), "client_encoding": "utf8"}


def ends_connection(error: BaseException | None) -> bool:
    """Return whether a connection is of no use after this error of the driver, though it may still be open.

    That is so of a server that takes no writes any more: the next connection may find the one that does.
    """
    sqlstate = getattr(error, "sqlstate", None) or ""
    return sqlstate in (_READ_ONLY, _CANNOT_CONNECT_NOW) or sqlstate.startswith(_CONNECTION_EXCEPTIONS)


def prepare_engine(engine: Engine, settings: DatabaseSettings) -> None:
    """Let an engine connect by ``BoardConnection``, and leave connections that are of no use any more."""

    watch = ServerWatch(settings)

    @sa.event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, record: Any, arguments: Any, parameters: Any) -> BoardConnection:
        return watch.connect(arguments, parameters)

    @sa.event.listens_for(engine, "handle_error")
    def _end_connection(context: ExceptionContext) -> None:
        if ends_connection(context.original_exception):
            context.is_disconnect = True


def lift_time_limits(connection: sa.Connection) -> None:
    """Let the statements of a transaction take as long as they need, for migrations.

    The connection is not for the pool again.
    """
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    driver_connection: Any = connection.connection.driver_connection
    driver_connection.answer_timeout = None
