"""When the fleet works: from what each mailbox has in 24 slots to the 168 hours of a week that ``predict`` wants.

A mailbox's slots are two hours long, twelve of working days and twelve of weekends (``roost.domain.usage``). The one
place where the two meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from roost.balance.fleet import Floats
from roost.balance.predict import HOURS
from roost.domain.usage import SLOTS

_SLOT = np.array([hour % 24 // 2 + (SLOTS // 2 if hour // 24 >= 5 else 0) for hour in range(HOURS)])
"""The slot of each hour of the week, Monday's first hour first."""

_MOST = 6.0
"""What is above so many times the mean is spread over all hours: a few mailboxes' chance is no habit of all."""


def week_of(patterns: Sequence[str], work: Floats) -> Floats:
    """Return how many times the usual each hour of the week has; ``work`` is how much each mailbox does.

    A pattern has a digit for each slot, or is '' where nothing is known. Where nothing is known of anybody, every
    hour is like the others.
    """
    known = [number for number, pattern in enumerate(patterns) if len(pattern) == SLOTS]
    flat = np.ones(HOURS)
    if not known:
        return flat
    text = "".join(patterns[number] for number in known).encode("ascii", "replace")
    digits = np.frombuffer(text, np.uint8).reshape(len(known), SLOTS).astype(np.float64) - ord("0")
    hours = digits[:, _SLOT]
    total = hours.sum(axis=1)
    does = work[known] * (total > 0)
    if not does.sum() > 0:
        return flat
    week = (does / np.maximum(total, 1)) @ hours * HOURS / does.sum()
    calm = np.minimum(week, _MOST)
    return np.asarray(calm + 1 - calm.mean())


def hour_of(at: datetime) -> int:
    """Return the hour of the week of a time in UTC: 0 is Monday's first."""
    return at.weekday() * 24 + at.hour
