"""What ties mailboxes to others and to nodes, and the classes of service that nodes offer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns, and indexes of those mailboxes that have ties."""
    op.add_column("node", sa.Column("classes", TEXT, nullable=False, server_default="[]"))
    for tie in ("together", "apart", "pin", "service_class"):
        op.add_column("mailbox", sa.Column(tie, TEXT))
        tied = sa.text(f"{tie} IS NOT NULL")
        name = f"ix_mailbox_{tie}_address"
        op.create_index(name, "mailbox", [tie, "address"], sqlite_where=tied, postgresql_where=tied)
