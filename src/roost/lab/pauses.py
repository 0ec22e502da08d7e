"""What a move looks like from outside: how long logins took, who was refused, how late mail was.

Pure functions over the journals of ``roost.lab.remote``: of ``probe.py`` the events ``tried`` (``began``,
``seconds``, ``ok``, ``said``); of the other clients ``served`` (``seconds`` since the connection was lost),
``refused`` and ``no`` (``said``); of deliveries ``taken``, and of the waiting client ``seen``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from roost.lab.accounting import INBOX, Event


@dataclass(frozen=True)
class Pause:
    """A stretch of time as clients met it: the longest login (seconds), what refused ones were told, and how many."""

    longest: float
    refusals: tuple[str, ...]
    tried: int


def pause(events: Iterable[Event], began: float, ended: float) -> Pause:
    """Return the pause among the logins that were under way between two moments (seconds since the epoch)."""
    within = [
        event
        for event in events
        if event["what"] == "tried" and event["began"] <= ended and event["began"] + event["seconds"] >= began
    ]
    longest = max((event["seconds"] for event in within), default=0.0)
    return Pause(longest, tuple(event["said"] for event in within if not event["ok"]), len(within))


def refusals(events: Iterable[Event]) -> list[str]:
    """Return what clients were told that were refused, in all of the run."""
    return [
        f"{event.get('by', 'client')}: {event['said']}"
        for event in events
        if event["what"] in {"refused", "no"} or (event["what"] == "tried" and not event["ok"])
    ]


def delays(events: Iterable[Event]) -> list[float]:
    """Return for each delivery the seconds from the MX's 250 until a waiting client saw it in INBOX."""
    taken: dict[str, float] = {}
    seen: dict[str, float] = {}
    for event in events:
        if event["what"] == "taken":
            taken[event["token"]] = event["at"]
        elif event["what"] == "seen" and event["folder"] == INBOX:
            seen.setdefault(event["token"], event["at"])
    return [max(0.0, seen[token] - at) for token, at in taken.items() if token in seen]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
