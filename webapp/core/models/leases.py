"""Which process does which chore."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class Lease(Base):
    """Who may do a chore at present; of any number of processes one holds it, until it lets go or falls silent."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(sa.String(100))
    until: Mapped[datetime]


leases = table_of(Lease)
