"""Moves of mailboxes, and the format of each mailbox; until now every one was ``mdbox``."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table, the column, and the counter of moves."""
    op.add_column("mailbox", sa.Column("format", TEXT, nullable=False, server_default="mdbox"))
    op.create_table(
        "move",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("address", "source", "target", "state")),
        *(sa.Column(name, TEXT, nullable=False) for name in ("asked", "changed", "actor")),
        *(sa.Column(name, TEXT, nullable=False) for name in ("format", "format_before")),
        sa.Column("deep", sa.Boolean(), nullable=False),
        sa.Column("back_of", NUMBER, nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("parent", "reason")),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("paused", "aborting")),
        *(sa.Column(name, NUMBER, nullable=False) for name in ("attempts", "revision")),
        *(sa.Column(name, TEXT, nullable=False) for name in ("progress", "certificate")),
        sa.PrimaryKeyConstraint("id", name="pk_move"),
    )
    is_open = sa.text("state NOT IN ('done', 'undone')")
    op.create_index("uq_move_open", "move", ["number"], unique=True, sqlite_where=is_open, postgresql_where=is_open)
    op.create_index("ix_move_state_id", "move", ["state", "id"])
    op.create_index("ix_move_state_source_target_paused_id", "move", ["state", "source", "target", "paused", "id"])
    op.create_index("ix_move_parent_id", "move", ["parent", "id"])
    op.create_index("ix_move_address_id", "move", ["address", "id"])
    counter = sa.table("counter", sa.column("name"), sa.column("n"))
    op.bulk_insert(counter, [{"name": "move", "n": 0}])
