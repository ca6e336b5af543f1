"""sign-ins: what a person may look through, and attempts that are counted by network and by browser."""

import ipaddress

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SESSIONS = sa.table(
    "sessions",
    sa.column("id", sa.Uuid()),
    sa.column("user_id", sa.Uuid()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("address", sa.String()),
    sa.column("user_agent", sa.String()),
)


def upgrade() -> None:
    sign_ins = op.create_table(
        "sign_ins",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "signed_in",
                "failed",
                "blocked",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sign_ins_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
    )
    op.create_index(op.f("ix_sign_ins_user_id_id"), "sign_ins", ["user_id", "id"])
    op.create_index(op.f("ix_sign_ins_user_id_network"), "sign_ins", ["user_id", "network"])
    _fill_from_sessions(sign_ins)
    op.add_column("login_failures", sa.Column("network", sa.String(length=64), nullable=True))
    op.add_column("login_failures", sa.Column("browser", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_login_failures_email_at"), "login_failures", ["email", "at"])
    op.create_index(op.f("ix_login_failures_network_at"), "login_failures", ["network", "at"])
    op.drop_index(op.f("ix_login_failures_address_at"), "login_failures")


def _fill_from_sessions(sign_ins: sa.Table) -> None:
    """Take over the sign-ins that are still known, so that people are not strangers where they work."""
    sessions = op.get_bind().execute(sa.select(SESSIONS)).all()
    rows = [
        {
            "id": session.id,
            "user_id": session.user_id,
            "at": session.created_at,
            "outcome": "signed_in",
            "address": session.address or "unknown",
            "network": _find_network(session.address or "unknown"),
            "user_agent": session.user_agent,
        }
        for session in sessions
    ]
    op.bulk_insert(sign_ins, rows)


def _find_network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


def downgrade() -> None:
    op.create_index(op.f("ix_login_failures_address_at"), "login_failures", ["address", "at"])
    op.drop_index(op.f("ix_login_failures_network_at"), "login_failures")
    op.drop_index(op.f("ix_login_failures_email_at"), "login_failures")
    op.drop_column("login_failures", "browser")
    op.drop_column("login_failures", "network")
    op.drop_table("sign_ins")
