"""What mailboxes are used, and what nodes do and have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CODES = ("logins", "deliveries", "bytes_in", "bytes_out", "connected", "cpu")
MINUTE = (
    *("seconds", "cpu", "waiting", "running", "reads", "writes", "bytes_read", "bytes_written"),
    *("pressure_cpu", "pressure_io", "pressure_memory"),
    *("memory", "memory_available", "disk", "disk_free", "greeting", "login"),
    *("logins", "deliveries", "bytes_in", "bytes_out", "connected", "mail_cpu", "refused"),
)


def upgrade() -> None:
    """Add the tables, and what is declared of a node."""
    op.create_table(
        "mailbox_load",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("node", TEXT, nullable=False),
        sa.Column("since", NUMBER, nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        *(sa.Column(f"hour_{name}", sa.SmallInteger(), nullable=False) for name in CODES),
        *(sa.Column(f"week_{name}", sa.SmallInteger(), nullable=False) for name in CODES),
        sa.Column("bytes", NUMBER),
        sa.Column("messages", NUMBER),
        sa.Column("pattern", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_mailbox_load"),
        sa.ForeignKeyConstraint(["number"], ["mailbox.number"], name="fk_mailbox_load_number", ondelete="CASCADE"),
    )
    op.create_table(
        "node_load",
        sa.Column("node", TEXT, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in MINUTE),
        sa.PrimaryKeyConstraint("node", "at", name="pk_node_load"),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name="fk_node_load_node", ondelete="CASCADE"),
    )
    op.add_column("node", sa.Column("declared", TEXT, nullable=False, server_default="{}"))
