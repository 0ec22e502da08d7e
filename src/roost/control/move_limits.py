"""How many moves may be under way at once, and at which hours they begin. Pure; the numbers are the policy's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from roost.domain.cluster import Policy
from roost.domain.errors import BadSetting

_HOURS_OF_A_DAY = 24


class Places:
    """The free places for moves; ``under_way`` counts those that are taken, for each source and target."""

    def __init__(self, policy: Policy, under_way: Mapping[tuple[str, str], int]) -> None:
        self._policy = policy
        self._pairs = Counter(dict(under_way))
        self._nodes = Counter[str]()
        for pair, count in under_way.items():
            for node in pair:
                self._nodes[node] += count

    def free(self, source: str, target: str) -> int:
        """Return how many moves may begin from one node to the other."""
        policy = self._policy
        return max(
            0,
            min(
                policy.moves - self._pairs.total(),
                policy.moves_per_node - max(self._nodes[source], self._nodes[target]),
                policy.moves_per_pair - self._pairs[source, target],
            ),
        )

    def take(self, source: str, target: str) -> bool:
        """Take a place; False where none is free."""
        if not self.free(source, target):
            return False
        self._pairs[source, target] += 1
        self._nodes[source] += 1
        self._nodes[target] += 1
        return True


def hours(text: str) -> frozenset[int]:
    """Return the hours of the day, UTC, that ``22-6`` means: from 22:00 to 5:59. '' is all of them.

    Raises ``BadSetting``.
    """
    if not text:
        return frozenset(range(_HOURS_OF_A_DAY))
    first, dash, last = text.partition("-")
    fits = dash and all(part.isascii() and part.isdigit() and int(part) <= _HOURS_OF_A_DAY for part in (first, last))
    if not fits or int(first) % _HOURS_OF_A_DAY == int(last) % _HOURS_OF_A_DAY:
        raise BadSetting(
            f"{text!r} are no hours of a day.",
            field="move_hours",
            remedy="Give the first hour and the one before which it ends, such as 22-6; '' for any time.",
        )
    length = (int(last) - int(first)) % _HOURS_OF_A_DAY
    return frozenset((int(first) + hour) % _HOURS_OF_A_DAY for hour in range(length))


def within(text: str, now: datetime) -> bool:
    """Say whether moves may begin at this time."""
    return now.hour in hours(text)
