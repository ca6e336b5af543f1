"""Since when the servers of this board have been listening."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base


class ServerHeartbeat(Base):
    """The one row that says when a server process last reported, and since when they have done so without a pause."""

    __tablename__ = "listening"

    id: Mapped[int] = mapped_column(primary_key=True)
    beat_at: Mapped[datetime]
    since: Mapped[datetime]
