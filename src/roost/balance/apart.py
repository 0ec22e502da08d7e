"""Anti-affinity: on which nodes nobody may come to whom a mailbox is to be kept apart from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from roost.balance.fleet import NONE, Fleet, Numbers
from roost.balance.units import Places


@dataclass(frozen=True)
class Apart:
    """Where mailboxes of each group live, or will: who leaves counts on both nodes, so any order will do."""

    group: Numbers
    """Of each mailbox."""

    groups: Numbers
    homes: Numbers
    """Of those that are in one, sorted: the group, and the home."""

    coming: dict[int, tuple[int, ...]]
    """By group, the nodes to which one of it has been sent."""

    @classmethod
    def of(cls, fleet: Fleet) -> Apart:
        """Return it as it is before any move."""
        boxes = fleet.mailboxes
        members = np.flatnonzero(boxes.apart != NONE)
        members = members[np.argsort(boxes.apart[members], kind="stable")]
        return cls(boxes.apart, boxes.apart[members], boxes.home[members], {})

    def copy(self) -> Apart:
        """Return another one, which can be added to."""
        return replace(self, coming=dict(self.coming))

    def where(self, mailboxes: Places) -> list[int]:
        """Return the nodes where one of these mailboxes' groups lives or will."""
        nodes: list[int] = []
        for group in set(self.group[mailboxes].tolist()) - {NONE}:
            first, last = (int(np.searchsorted(self.groups, group, side)) for side in ("left", "right"))
            nodes += (*self.homes[first:last].tolist(), *self.coming.get(group, ()))
        return nodes

    def add(self, mailboxes: Places, node: int) -> None:
        """Note that they have been sent to a node."""
        for group in set(self.group[mailboxes].tolist()) - {NONE}:
            self.coming[group] = (*self.coming.get(group, ()), node)
