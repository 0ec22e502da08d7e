"""What a move looks like from outside: how long logins took, who was refused, how late mail was.

Pure functions over the journals of ``roost.lab.remote``: of ``probe.py`` the events ``tried`` (``began``,
``seconds``, ``ok``, ``said``, ``logged_in``); of the other clients ``served`` (``seconds`` since the connection was
lost), ``refused`` and ``no`` (``said``); of deliveries ``taken``, and of the waiting client ``seen``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from roost.lab.accounting import INBOX, Event


@dataclass(frozen=True)
class Pause:
    """A stretch of time as clients met it.

    ``longest``: the seconds that one of them had to wait until it was served; one that was refused is taken to try
    again at once, as the next one did. ``refusals``: what those were told that were not let
    in. ``cut_off``: how many had just been let in when their session was ended. ``tried``: how many there were.
    """

    longest: float
    refusals: tuple[str, ...]
    tried: int
    cut_off: int = 0


def pause(events: Iterable[Event], began: float, ended: float) -> Pause:
    """Return the pause among the logins that were under way between two moments (seconds since the epoch)."""
    tried = sorted((event for event in events if event["what"] == "tried"), key=lambda event: float(event["began"]))
    longest, said, count, cut_off = 0.0, [], 0, 0
    served = math.inf  # when the first was served of those that began no earlier
    for event in reversed(tried):
        end = event["began"] + event["seconds"]
        if event["ok"]:
            served = min(served, end)
        if event["began"] > ended or end < began:
            continue
        count += 1
        if event["ok"]:
            longest = max(longest, event["seconds"])
        else:
            longest = max(longest, served - event["began"])
            cut_off += event["logged_in"]
            if not event["logged_in"]:
                said.append(event["said"])
    return Pause(longest, tuple(reversed(said)), count, cut_off)


def refusals(events: Iterable[Event]) -> list[str]:
    """Return what clients were told that were not let in, in all of the run."""
    return [
        f"{event.get('by', 'client')}: {event['said']}"
        for event in events
        if event["what"] == "refused" or (event["what"] == "tried" and not (event["ok"] or event["logged_in"]))
    ]


def complaints(events: Iterable[Event]) -> list[str]:
    """Return what was answered to commands that failed within a session."""
    return [f"{event['by']}: {event['said']}" for event in events if event["what"] == "no"]


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
