"""How much mail was asked for, by whom and to whom, on each day."""

from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class MailCount(Base):
    """Mails of one day (UTC) that one sender, one workspace or one recipient has taken of its limit."""

    __tablename__ = "mail_counts"

    day: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(254), primary_key=True)
    count: Mapped[int]


mail_counts = table_of(MailCount)
