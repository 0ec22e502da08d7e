"""How much room storage nodes have, as it was measured last: placing a mailbox needs no look at all the others.

It is written down now and then (``roost.control.balancer``). In between, each mailbox that a node has got counts with
what a mailbox takes on average. Where nothing can be measured nothing is written down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from roost.balance.fleet import Fleet
from roost.balance.goals import RULES
from roost.domain.load import Dimension
from roost.ports.store import Reader, Store

_PLACE = "headroom"


@dataclass(frozen=True)
class Room:
    """Of one open node: what is taken and what it has of each dimension, with how many mailboxes; copies on its disk
    that will go by themselves count as taken."""

    taken: list[float]
    capacity: list[float]
    mailboxes: int


@dataclass(frozen=True)
class Headroom:
    """Of all open nodes; ``expected`` is what a new mailbox takes of each dimension."""

    nodes: Mapping[str, Room]
    expected: list[float]

    def level(self, node: str, mailboxes: int) -> float:
        """Return how full a node is in its fullest dimension with so many mailboxes; infinite where its disk is full.

        Only the disk is a limit: what a processor will bear is an estimate, and somebody must have the mailbox.
        """
        room = self.nodes[node]
        levels = [
            (taken + (mailboxes - room.mailboxes) * more) / has
            for taken, more, has in zip(room.taken, self.expected, room.capacity, strict=True)
        ]
        return max(levels) if levels[Dimension.DISK] <= RULES.disk else float("inf")


def note(store: Store, fleet: Fleet, homes: Mapping[str, int]) -> None:
    """Write it down. ``homes`` is how many mailboxes each node has."""
    taken = fleet.loads.copy()
    taken[:, Dimension.DISK] += fleet.nodes.kept
    nodes = {
        name: Room(taken[place].tolist(), fleet.nodes.capacity[place].tolist(), homes.get(name, 0))
        for place, name in enumerate(fleet.nodes.names)
        if fleet.nodes.open[place]
    }
    count = max(len(fleet.mailboxes), 1)
    expected = (fleet.mailboxes.demand.sum(axis=0, dtype=float) / count).tolist()
    store.put_value(_PLACE, json.dumps(asdict(Headroom(nodes, expected))))


def forget(store: Store) -> None:
    """Nothing is known any more."""
    with store.read() as view:
        if not view.value(_PLACE):
            return
    store.put_value(_PLACE, "")


def known(view: Reader) -> Headroom | None:
    """Return what was measured last; None where there is nothing."""
    text = view.value(_PLACE)
    if not text:
        return None
    values = json.loads(text)
    return Headroom({name: Room(**room) for name, room in values["nodes"].items()}, values["expected"])
