"""Makes the secrets that sign messages, and keeps them encrypted at rest."""

import base64
import secrets
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core.database.session import db
from webapp.core.database.transactions import write_transaction
from webapp.core.encryption import PREFIX, Cipher, Unreadable, current_cipher
from webapp.core.errors import Conflict
from webapp.core.models import webhook_endpoints
from webapp.core.models.webhooks import SECRET_PREFIX

_COLUMNS = ("secret", "previous_secret")
_stored = {name: sa.type_coerce(webhook_endpoints.c[name], sa.String).label(name) for name in _COLUMNS}
"""The columns as the database holds them."""


def make_secret() -> str:
    """Return a new secret, as Standard Webhooks writes one."""
    return f"{SECRET_PREFIX}{base64.b64encode(secrets.token_bytes(32)).decode()}"


def encrypt_plain() -> int:
    """Encrypt what an older release stored as it is, and return how many secrets that were."""
    plain = sa.or_(*(text.startswith(SECRET_PREFIX) for text in _stored.values()))
    if db.session.scalar(sa.select(sa.func.count()).select_from(webhook_endpoints).where(plain)) == 0:
        return 0
    cipher = current_cipher.get()
    with write_transaction() as session:
        return _rewrite(session, lambda text: None if text.startswith(PREFIX) else cipher.encrypt(_to_bytes(text)))


def change_key(old: Cipher) -> int:
    """Encrypt anew, with the key of the board, what ``old`` encrypted, and return how many secrets that were.

    Raises ``Conflict`` (``unreadable``) when one was encrypted with neither; then nothing is changed.
    """
    new = current_cipher.get()

    def change(text: str) -> str | None:
        if not text.startswith(PREFIX):
            return new.encrypt(_to_bytes(text))
        try:
            new.decrypt(text)
        except Unreadable:
            return new.encrypt(old.decrypt(text))
        return None

    try:
        with write_transaction() as session:
            return _rewrite(session, change)
    except Unreadable:
        raise Conflict(
            "unreadable", "A secret of a webhook was encrypted with neither of the two keys; nothing is changed."
        ) from None


def _to_bytes(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def _rewrite(session: Session, change: Callable[[str], str | None]) -> int:
    """Store what ``change`` makes of each secret, unless that is ``None``. Returns how many it changed."""
    endpoint = webhook_endpoints.c
    rows: Iterable[Any] = session.execute(
        sa.select(endpoint.id, *_stored.values()).order_by(endpoint.id).with_for_update()
    ).all()
    return sum(_rewrite_row(session, row.id, row._mapping, change) for row in rows)


def _rewrite_row(session: Session, endpoint_id: uuid.UUID, row: Any, change: Callable[[str], str | None]) -> int:
    values = {name: text for name in _COLUMNS if row[name] is not None and (text := change(row[name])) is not None}
    if values:
        stored = {webhook_endpoints.c[name]: sa.type_coerce(text, sa.String) for name, text in values.items()}
        session.execute(sa.update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).values(stored))
    return len(values)
