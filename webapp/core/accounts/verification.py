"""Lets people verify the address of their account by a link that goes there.

The link counts only in a browser that is signed in to the account: whoever made an account for the address of somebody
else gains nothing when that person opens the mail. So it needs no secret of its own that is stored, only a signature.
"""

from datetime import timedelta

from itsdangerous import BadSignature, URLSafeSerializer

from webapp.core import clock, mail_limits
from webapp.core.accounts import accounts
from webapp.core.audit import Actor
from webapp.core.database.transactions import write_transaction
from webapp.core.errors import NotFound
from webapp.core.models import User

LIFETIME = timedelta(days=1)


class NoVerification(NotFound):
    """The link is too old, is not for this account, or was never made; which of these is not said."""

    def __init__(self) -> None:
        super().__init__("This link is no longer valid.")


def request_link(user: User, key: str, *, by: Actor) -> str:
    """Take one mail of the day's limits, and return the secret of the link that goes into it.

    ``key`` signs it. Raises ``MailLimitReached``.
    """
    with write_transaction() as session:
        mail_limits.claim(session, person=by.ref, recipient=user.email)
    return str(_serializer(key).dumps([user.id.hex, user.email, clock.now().timestamp()]))


def require_link(user: User, secret: str, key: str) -> None:
    """Refuse a link that does not verify the address of this account. Raises ``NoVerification``."""
    try:
        user_id, email, created_at = _serializer(key).loads(secret)
    except BadSignature:
        raise NoVerification from None
    is_recent = clock.now().timestamp() - created_at < LIFETIME.total_seconds()
    if (user_id, email) != (user.id.hex, user.email) or not is_recent:
        raise NoVerification


def verify_by_link(user: User, secret: str, key: str, *, by: Actor) -> None:
    """Remember that the address of an account is the person's, who has opened a link that went there.

    Raises ``NoVerification``.
    """
    require_link(user, secret, key)
    accounts.verify(user, by=by)


def _serializer(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="verify-address")
