"""Answers requests that a runner repeats because it never got the answer: done once, and answered again."""

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
from webapp.core.models import IdempotencyKey, idempotency_keys

KEY_LIMIT = 200
"""Characters that a key may have."""
KEY_PATTERN = "^[ -~]+$"
"""Printable ASCII: of anything else in a header, each server and client makes something else."""


class KeyReused(Invalid):
    """The key was used before, with another body."""

    def __init__(self) -> None:
        super().__init__([Fault(("Idempotency-Key",), "This key was used before, with another body. Use a new one.")])


def find_key_faults(key: str | None) -> Sequence[Fault]:
    """Return what is wrong with a key, if one was sent."""
    if key is None or (len(key) <= KEY_LIMIT and re.fullmatch(KEY_PATTERN, key)):
        return ()
    return (Fault(("Idempotency-Key",), f"1 to {KEY_LIMIT} printable ASCII characters."),)


@dataclass(frozen=True)
class RequestKey:
    """A runner's own name for a request, and the SHA-256 of its body."""

    key: str
    digest: str

    @classmethod
    def from_body(cls, key: str, body: Mapping[str, Any]) -> Self:
        """Make the key of a request from a name without faults and its body. Bodies are equal as JSON is equal."""
        return cls(key, hashlib.sha256(canonical_json(body).encode()).hexdigest())

    def values(self, scope: uuid.UUID, job_id: uuid.UUID) -> dict[str, Any]:
        """Return the row that remembers the key; ``next_after``, the answer to an append to a log, comes later."""
        return {"scope": scope, "key": self.key, "digest": self.digest, "job_id": job_id}


def find_request(scope: uuid.UUID, request_key: RequestKey) -> IdempotencyKey | None:
    """Return what was done under this key, if anything was. Raises ``KeyReused``.

    ``scope`` is where the key is unique: the workspace for a new job, the job for its log.
    """
    query = sa.select(IdempotencyKey).where(IdempotencyKey.scope == scope, IdempotencyKey.key == request_key.key)
    earlier = db.session.scalar(query.execution_options(populate_existing=True))
    if earlier is not None and earlier.digest != request_key.digest:
        raise KeyReused
    return earlier


def key_row(prefix: str) -> ExtraRow:
    """Describe the row that remembers under which key a job was created, written together with that job."""
    return extra_row(prefix, idempotency_keys, ("scope", "key", "digest", "job_id"))


def insert_key(
    session: Session, scope: uuid.UUID, request_key: RequestKey, *, job_id: uuid.UUID, next_after: int
) -> None:
    """Remember a key in the transaction of the append that is done under it, with the number that it is answered.

    Of two at once, one fails with ``IntegrityError``.
    """
    values = request_key.values(scope, job_id) | {"next_after": next_after}
    session.execute(sa.insert(idempotency_keys).values(values))
