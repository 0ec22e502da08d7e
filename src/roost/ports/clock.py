"""Time and chance, as arguments: decisions stay pure and tests stay quick."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the time, in UTC, aware of it."""
