"""Where a new mailbox gets its home: the storage node that stays emptiest, of those that are measured and stay.

Where none is measured yet, the one that has the fewest mailboxes. Each costs one step in a heap, however many nodes
and mailboxes there are; a mailbox that only some nodes may have, a step for each that is emptier and may not.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from math import isinf

from roost.control.headroom import Headroom
from roost.control.kin import Hindrance
from roost.domain.cluster import Cluster, Role
from roost.domain.errors import NotFound, Refused

_SAID = 3


def _anybody(name: str) -> Hindrance | None:
    del name
    return None


class Placer:
    """Hands out homes, each time the emptiest node; counts what it has handed out."""

    def __init__(self, cluster: Cluster, homes: Mapping[str, int], headroom: Headroom | None = None) -> None:
        self._life = {node.name: node.life for node in cluster.with_role(Role.STORAGE)}
        joined = [node.name for node in cluster.serving(Role.STORAGE) if node.joined]
        measured = [name for name in joined if headroom and name in headroom.nodes]
        self._headroom = headroom if measured else None
        self._homes = Counter(dict(homes))
        self._heap = [(self._fullness(name), name) for name in measured or joined]
        heapq.heapify(self._heap)

    def _fullness(self, name: str, many: int = 1) -> float:
        """Return how full a node would be with so many mailboxes more."""
        count = self._homes[name] + many
        return self._headroom.level(name, count) if self._headroom and name in self._headroom.nodes else count

    def is_full(self, name: str, many: int = 1) -> bool:
        """Say whether a node has no disk space for so many mailboxes more, as far as that is known."""
        return isinf(self._fullness(name, many))

    def place(
        self,
        wanted: str | None,
        *,
        but: str = "",
        many: int = 1,
        may: Callable[[str], Hindrance | None] = _anybody,
    ) -> str:
        """Return the home: the one that is wanted where it is a storage node, else the emptiest that has joined.

        ``but`` is a node that is not taken, '' for none; ``many`` are to find room there, of whom one is counted.
        ``may`` returns why a node is not to have it. Raises ``Refused``.
        """
        name = self._named(wanted) if wanted else self._emptiest(but, many, may)
        if wanted and (why := may(name)):
            raise Refused(why.sentence, field="home", remedy=why.remedy)
        self._homes[name] += 1
        return name

    def _named(self, wanted: str) -> str:
        if wanted not in self._life:
            raise NotFound(
                f"There is no storage node {wanted}.",
                field="home",
                remedy="See 'roost node list' for their names.",
            )
        if self._life[wanted].leaving:
            raise Refused(
                f"{wanted} is {self._life[wanted]}: nothing new is put there.",
                field="home",
                remedy=f"Name another, or have it back with 'roost node undrain {wanted}'.",
            )
        return wanted

    def _emptiest(self, but: str, many: int, may: Callable[[str], Hindrance | None]) -> str:
        aside: list[tuple[float, str]] = []
        hindrances: dict[str, None] = {}
        full = False
        try:
            while self._heap:
                fullness, name = heapq.heappop(self._heap)
                if fullness < (now := self._fullness(name)):
                    # It was given some since it was put here.
                    heapq.heappush(self._heap, (now, name))
                    continue
                aside.append((fullness, name))
                if name == but:
                    continue
                if why := may(name):
                    hindrances[why.sentence] = None
                elif self.is_full(name, many):
                    full = True
                else:
                    return name
        finally:
            for entry in aside:
                heapq.heappush(self._heap, entry)
        raise self._refusal(list(hindrances), full=full)

    def _refusal(self, hindrances: list[str], *, full: bool) -> Refused:
        if full:
            return Refused(
                "No storage node that may have it has disk space left.",
                field="home",
                remedy="Add one with 'roost node add', or make room; see 'roost node load'.",
            )
        if hindrances:
            return Refused(
                "No storage node may have it. " + " ".join(hindrances[:_SAID]),
                field="home",
                remedy="Change what ties it ('roost user set'), or add a node.",
            )
        return Refused(
            "No storage node has joined that takes new mailboxes.",
            field="home",
            remedy="Add one with 'roost node add' and run 'roost join' on it.",
        )
