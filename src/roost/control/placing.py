"""Where a new mailbox gets its home: the storage node that stays emptiest, of those that are measured and stay.

Where none is measured yet, the one that has the fewest mailboxes. Each costs one step in a heap, however many nodes
and mailboxes there are.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from math import isinf

from roost.control.headroom import Headroom
from roost.domain.cluster import Cluster, Role
from roost.domain.errors import NotFound, Refused


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

    def _fullness(self, name: str) -> float:
        """Return how full a node would be with one mailbox more."""
        count = self._homes[name] + 1
        return self._headroom.level(name, count) if self._headroom else count

    def place(self, wanted: str | None, *, but: str = "") -> str:
        """Return the home: the one that is wanted where it is a storage node, else the emptiest that has joined.

        ``but`` is a node that is not taken, '' for none.
        """
        if wanted:
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
        if not self._heap:
            raise Refused(
                "No storage node has joined that takes new mailboxes.",
                field="home",
                remedy="Add one with 'roost node add' and run 'roost join' on it.",
            )
        fullness, name = heapq.heappop(self._heap)
        if name == but:
            try:
                return self.place(None)
            finally:
                heapq.heappush(self._heap, (fullness, name))
        if isinf(fullness):
            heapq.heappush(self._heap, (fullness, name))
            raise Refused(
                "No storage node that may have it has disk space left.",
                field="home",
                remedy="Add one with 'roost node add', or make room; see 'roost node load'.",
            )
        self._homes[name] += 1
        heapq.heappush(self._heap, (self._fullness(name), name))
        return name
