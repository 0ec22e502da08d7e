"""Wakes the requests that wait: agents for a commit, administrators for a receipt.

A counter and one event for all: whoever waits notes the counter, looks, and sleeps until it has moved on. So a
commit between looking and sleeping is not missed. Other controllers on the same PostgreSQL commit unheard; that is
what the longest sleep is for.
"""

from __future__ import annotations

import asyncio
import contextlib

LONGEST_SLEEP = 1.0
"""Seconds after which a sleeper looks again by itself."""


class Wakeup:
    """One per controller; ``ring`` may be called from any thread."""

    def __init__(self) -> None:
        self._count = 0
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Remember the running loop: call once, in it."""
        self._loop = asyncio.get_running_loop()

    @property
    def count(self) -> int:
        """Return how often it rang: note it before looking."""
        return self._count

    def ring(self) -> None:
        """Wake everybody."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._count += 1
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, noted: int, seconds: float) -> None:
        """Sleep until it has rung since ``noted``, at most so long."""
        if self._count == noted:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), min(seconds, LONGEST_SLEEP))
