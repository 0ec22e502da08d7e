"""Waiting for facts."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(said: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for a fact; fails where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
