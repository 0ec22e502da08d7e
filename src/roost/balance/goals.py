"""What a plan strives for: how full each node should be at most, and which nodes are fuller than that.

The equal *share* of a dimension is everything that is taken of it, divided by everything that the open nodes have.
The *goal* is the share and a little room, and never less than what is *calm*: a node that is a third full is not made
emptier by copying mail about. A node is *hot* when it is above the goal by more than the *band*; then it is brought
down to the goal. Between goal and band nothing happens: that is what keeps a plan from undoing the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roost.balance.fleet import Flags, Fleet, Floats, State
from roost.domain.errors import BadSetting


@dataclass(frozen=True)
class Rules:
    """When a move is worth it. Levels are shares of what a node has: 0.5 is half full."""

    calm: tuple[float, float, float, float] = (0.3, 0.3, 0.6, 0.6)
    """In the order of ``Dimension``: below this level no node is relieved. Memory and disk that are half full harm
    nobody, while a processor that is half busy already makes people wait now and then."""

    room: float = 0.005
    """The goal lies so far above the equal share, as a part of it: mailboxes are not sand."""

    band: float = 0.03
    """A node is relieved when it is so far above the goal."""

    disk: float = 0.9
    """No move fills a disk above this level; copies that are kept for some days count."""

    gain: float = 0.000_01
    """A mailbox moves for balance only if it takes this part of some dimension of its node."""

    move_bytes: int = 1_000_000
    """A move costs as much as copying so many bytes, besides the bytes: so one mailbox is better than ten."""

    pause: float = 0.3
    """Seconds for which a move closes a mailbox (docs/reference/benchmarks.md)."""

    def __post_init__(self) -> None:
        """Raise ``BadSetting`` for what cannot be meant."""
        for name in ("room", "band", "gain", "move_bytes", "pause"):
            if not getattr(self, name) >= 0:
                raise BadSetting(f"The {name} cannot be negative.", field=name)
        if not 0 < self.disk <= 1:
            raise BadSetting("The disk's limit is between 0 and 1.", field="disk")
        if not all(level >= 0 for level in self.calm):
            raise BadSetting("The calm levels cannot be negative.", field="calm")


RULES = Rules()


def goal(fleet: Fleet, rules: Rules) -> Floats:
    """Return the level that no node should be above, for each dimension.

    What a closed node has stays there, so neither its load nor its capacity counts. Of a drained one all mailboxes
    count, and nothing that it has.
    """
    nodes = fleet.nodes
    drained = nodes.state == State.DRAINED
    taken = fleet.loads[nodes.open].sum(axis=0) + (fleet.loads - nodes.base)[drained].sum(axis=0)
    have = nodes.capacity[nodes.open].sum(axis=0)
    share = np.divide(taken, have, out=np.zeros_like(taken), where=have > 0)
    return np.asarray(np.maximum(share * (1 + rules.room), np.array(rules.calm)))


def hot(levels: Floats, goal: Floats, fleet: Fleet, rules: Rules) -> Flags:
    """Say which nodes are to be relieved, at these levels."""
    return np.asarray(fleet.nodes.open & (levels > goal * (1 + rules.room) + rules.band).any(axis=1))
