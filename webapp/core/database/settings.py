"""What an administrator may choose about the database, beside its address."""

from dataclasses import dataclass
from enum import StrEnum


class Prepare(StrEnum):
    """Whether PostgreSQL prepares statements that are sent often, which it then parses and plans once."""

    AUTO = "auto"
    """Only where no pooler stands between: it may hand the next statement to another session."""
    ON = "on"
    OFF = "off"


class Synchronous(StrEnum):
    """When SQLite has the disk confirm what it wrote."""

    NORMAL = "normal"
    """Now and then: a power cut may lose the last writes, never the file."""
    FULL = "full"
    """Before each write is answered."""


@dataclass(frozen=True)
class DatabaseSettings:
    """How a connection is made. Times are in seconds, and the address of the database may say otherwise."""

    connect_timeout: int = 5
    statement_timeout: int = 30
    prepare: Prepare = Prepare.AUTO
    sqlite_synchronous: Synchronous = Synchronous.NORMAL


DEFAULT_SETTINGS = DatabaseSettings()
