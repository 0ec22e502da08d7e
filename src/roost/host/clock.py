"""The real clock."""

from __future__ import annotations

from datetime import UTC, datetime


class WallClock:
    """Implements ``roost.ports.clock.Clock``."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)
