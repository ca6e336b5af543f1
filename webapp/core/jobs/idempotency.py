"""Requests that a runner repeats because it never heard the answer: done once, and answered again."""

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core.database.session import db
from webapp.core.database.statements import ExtraRow, extra_row
from webapp.core.errors import Fault, Invalid
from webapp.core.json_text import canonical_json
from webapp.core.models import Base, IdempotencyKey

KEY_LIMIT = 200
"""Characters that a key may have."""
KEY_PATTERN = "^[ -~]+$"
"""Printable ASCII: of anything else in a header, each server and client makes something else."""

_KEYS = Base.metadata.tables[IdempotencyKey.__tablename__]


class KeyReused(Invalid):
    """The key was used before, with another body."""

    def __init__(self) -> None:
        super().__init__([Fault(("Idempotency-Key",), "This key was used before, with another body. Use a new one.")])


def faults_of_key(key: str | None) -> Sequence[Fault]:
    """What is wrong with a key, if one was sent."""
    if key is None or (len(key) <= KEY_LIMIT and re.fullmatch(KEY_PATTERN, key)):
        return ()
    return (Fault(("Idempotency-Key",), f"1 to {KEY_LIMIT} printable ASCII characters."),)


@dataclass(frozen=True)
class Once:
    """A runner's own name for a request, and the SHA-256 of what it asks for."""

    key: str
    digest: str

    @classmethod
    def named(cls, key: str, body: Mapping[str, Any]) -> Self:
        """A key that has no faults, and what is asked for under it. Equal as JSON is equal."""
        return cls(key, hashlib.sha256(canonical_json(body).encode()).hexdigest())


def earlier(scope: uuid.UUID, once: Once) -> IdempotencyKey | None:
    """What was done under this key, if anything was. Raises ``KeyReused``.

    ``scope`` is where the key is unique: the workspace for a new job, the job for its log.
    """
    query = sa.select(IdempotencyKey).where(IdempotencyKey.scope == scope, IdempotencyKey.key == once.key)
    found = db.session.scalar(query.execution_options(populate_existing=True))
    if found is not None and found.digest != once.digest:
        raise KeyReused
    return found


def line_of_job(name: str) -> ExtraRow:
    """The row that remembers under which key a job was made, written together with that job."""
    return extra_row(name, _KEYS, ("scope", "key", "digest", "job_id"))


def keep(session: Session, scope: uuid.UUID, once: Once, *, job_id: uuid.UUID, next_after: int | None = None) -> None:
    """Remember a key in the transaction of what is done under it; of two at once, one fails with ``IntegrityError``."""
    values = {"scope": scope, "key": once.key, "digest": once.digest, "job_id": job_id, "next_after": next_after}
    session.execute(sa.insert(_KEYS).values(values))
