"""Whom domains and users allow and deny."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "sender",
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("sender", TEXT, nullable=False),
        sa.Column("domain", TEXT, nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("owner", "sender", name="pk_sender"),
        sa.ForeignKeyConstraint(["domain"], ["domain.name"], name="fk_sender_domain"),
    )
    op.create_index("ix_sender_domain_owner_sender", "sender", ["domain", "owner", "sender"])
