"""The base of all tables: names for constraints, and ids that sort by creation."""

import secrets
import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, cast

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from webapp.core.clock import UtcDateTime


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UtcDateTime(),
        uuid.UUID: sa.Uuid(),
        # JSON and not JSONB: JSONB reorders the keys of a payload.
        dict[str, Any]: sa.JSON(none_as_null=True),
        list[str]: sa.JSON(),
    }


def table_of(model: type[Base]) -> sa.Table:
    """Return the table of a model, for statements that are written without the session's machinery."""
    return cast(sa.Table, model.__table__)


def new_id(at: datetime) -> uuid.UUID:
    """Make a version 7 UUID for something created at that time; ids sort as their times do.

    The 12 bits after the version carry the fraction of the millisecond (RFC 9562, section 6.2, method 3), so that
    ids made within one millisecond still sort. The libraries that make version 7 ids take their own time, or order
    nothing within a millisecond once they are given one; the core's clock must be the only clock.
    """
    return uuid.UUID(int=first_id(at).int | 0b10 << 62 | secrets.randbits(62))


def first_id(at: datetime) -> uuid.UUID:
    """Return the lowest id of anything created at that time or later.

    Ids begin with the year 1970: an earlier time has the same first id.
    """
    microseconds = max(0, int(at.timestamp()) * 1_000_000 + at.microsecond)
    milliseconds, rest = divmod(microseconds, 1000)
    return uuid.UUID(int=(milliseconds << 16 | 0x7 << 12 | rest * 4096 // 1000) << 64)


def one_of(kind: type[StrEnum], name: str) -> sa.Enum:
    """Declare a column of words, of which the database itself refuses every other; ``name`` is the constraint's."""
    return sa.Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=20,
        values_callable=lambda members: [member.value for member in members],
    )


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """Declare an index over some rows alone, by the same condition on both engines."""
    condition = sa.text(where)
    return sa.Index(name, *columns, unique=unique, postgresql_where=condition, sqlite_where=condition)
