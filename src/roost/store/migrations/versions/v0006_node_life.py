"""Where a node is in its life; until now every one was active."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns."""
    op.add_column("node", sa.Column("life", TEXT, nullable=False, server_default="active"))
    op.add_column("node", sa.Column("since", TEXT))
    op.add_column("node", sa.Column("batch", TEXT, nullable=False, server_default=sa.text("''")))
