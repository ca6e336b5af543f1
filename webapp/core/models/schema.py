"""Which versions of the program the tables serve."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.models.base import Base, table_of


class SchemaCompatibility(Base):
    """The one row that says which is the oldest program that these tables serve, by its newest migration."""

    __tablename__ = "schema_compatibility"

    id: Mapped[int] = mapped_column(primary_key=True)
    oldest_served: Mapped[str] = mapped_column(sa.String(32))


schema_compatibility = table_of(SchemaCompatibility)
