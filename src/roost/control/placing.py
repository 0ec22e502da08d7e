"""Where a new mailbox gets its home: the storage node that has the fewest, and is not on its way out.

Measured load comes in later.
"""

from __future__ import annotations

import heapq

from roost.domain.cluster import Cluster, Role
from roost.domain.errors import NotFound, Refused


class Placer:
    """Hands out homes, each time the emptiest node; counts what it has handed out."""

    def __init__(self, cluster: Cluster, homes: dict[str, int]) -> None:
        self._life = {node.name: node.life for node in cluster.with_role(Role.STORAGE)}
        joined = [node.name for node in cluster.serving(Role.STORAGE) if node.joined]
        self._heap = [(homes.get(name, 0), name) for name in joined]
        heapq.heapify(self._heap)

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
        count, name = heapq.heappop(self._heap)
        if name != but:
            heapq.heappush(self._heap, (count + 1, name))
            return name
        try:
            return self.place(None)
        finally:
            heapq.heappush(self._heap, (count, name))
