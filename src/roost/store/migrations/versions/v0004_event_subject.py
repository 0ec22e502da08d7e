"""Events are found by their subject: what was changed of one mailbox, and by whom."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_event_subject_revision", "event", ["subject", "revision"])
