"""Limits how much mail goes out a day at the wish of one person, for one workspace, and to one recipient.

A limit is claimed by the statement that counts, before a mail is sent: of many at once exactly so many get through. A
day is one of UTC.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.database.statements import insert_of_engine
from webapp.core.errors import CoreError
from webapp.core.models import mail_counts

LIMITS: Mapping[str, int] = {"person": 50, "workspace": 100, "recipient": 5}
"""Mails a day."""
_SENTENCES = {
    "person": "You have sent {limit} mails today; try again tomorrow.",
    "workspace": "This workspace has sent {limit} mails today; try again tomorrow.",
    "recipient": "{key} has been sent {limit} mails today; try again tomorrow.",
}


class MailLimitReached(CoreError):
    """No more mail goes out today for this person, this workspace or this recipient; the text says what to do."""


def claim(session: Session, *, person: str, workspace: str | None = None, recipient: str) -> None:
    """Take one mail of each limit, in the transaction of what the mail is about. Raises ``MailLimitReached``.

    Without a workspace it is about the person alone.

    The caller rolls back then, so that nothing is taken of the other limits.
    """
    today, count = clock.now().date(), mail_counts.c.count
    session.execute(sa.delete(mail_counts).where(mail_counts.c.day < today))
    # Always in this order, so that two who take of the same limits never wait in a circle.
    for kind, key in (("person", person), ("workspace", workspace), ("recipient", recipient)):
        if key is None:
            continue
        insert = insert_of_engine()(mail_counts).values(day=today, kind=kind, key=key, count=1)
        take = insert.on_conflict_do_update(
            index_elements=["day", "kind", "key"], set_={"count": count + 1}, where=count < LIMITS[kind]
        )
        if session.execute(take.returning(count)).first() is None:
            raise MailLimitReached(_SENTENCES[kind].format(limit=LIMITS[kind], key=key))
