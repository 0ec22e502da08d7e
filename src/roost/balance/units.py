"""What moves as one: a mailbox, or all those of an affinity group that live on one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roost.balance.fleet import NONE, Bytes, Flags, Fleet, Floats, Masks, Numbers

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Units:
    """Units, a row each, those of one node side by side. The mailboxes of unit ``u`` are
    ``members[starts[u]:starts[u + 1]]``."""

    members: Places
    starts: Places
    home: Places
    demand: Floats
    bytes: Bytes
    classes: Masks
    """Classes that its node must offer, for any of its mailboxes."""

    pin: Numbers
    bound: Flags
    """Whether a rule besides classes says where it may go: a pin, others to be kept apart from, a scattered group."""

    group: Numbers
    """Its affinity group; ``NONE`` of a mailbox that has none."""

    free: Flags
    """Whether it may move for balance: nobody in it is pinned or stays, and its group lives on one node."""

    def __len__(self) -> int:
        return len(self.bytes)

    def of(self, unit: int) -> Places:
        """Return the numbers of its mailboxes."""
        return self.members[self.starts[unit] : self.starts[unit + 1]]

    def all_of(self, which: Places) -> Places:
        """Return the numbers of the mailboxes of these units, one unit after the other."""
        count = self.count[which]
        ends = np.cumsum(count)
        return np.asarray(self.members[np.repeat(self.starts[which] - ends + count, count) + np.arange(count.sum())])

    @property
    def first(self) -> Places:
        """Return the first mailbox of each."""
        return self.members[self.starts[:-1]]

    @property
    def count(self) -> Places:
        """Return how many mailboxes each is."""
        return np.diff(self.starts)

    def any(self, flags: Flags) -> Flags:
        """Return of each unit whether one of its mailboxes is so; ``flags`` has all mailboxes of the fleet."""
        return np.asarray(_gathered(np.logical_or, flags[self.members], self.starts[:-1]))


def units(fleet: Fleet, mailboxes: Places, seats: Numbers) -> Units:
    """Return the units that these mailboxes make, in the order of their nodes, then first numbers or groups.

    ``seats`` has of each affinity group that lives on several nodes where it belongs (``misplaced.py``).
    """
    boxes = fleet.mailboxes
    group, home = boxes.together[mailboxes], boxes.home[mailboxes]
    # numpy sorts 16-bit numbers by counting, several times as quick.
    home = home.astype(np.uint16) if len(fleet.nodes) < 1 << 16 else home
    order = np.lexsort((group, home)) if (group != NONE).any() else np.argsort(home, kind="stable")
    members, group, home = mailboxes[order], group[order], home[order]
    # A mailbox without a group is one of its own.
    begins = (np.diff(group, prepend=NONE) != 0) | (np.diff(home, prepend=home[:1]) != 0) | (group == NONE)
    first = np.flatnonzero(begins)
    pin = boxes.pin[members]
    elsewhere = np.zeros(len(members), np.bool_)
    if len(seats):
        elsewhere = (group != NONE) & (seats[group] != NONE)
    return Units(
        members=members,
        starts=np.append(first, len(members)),
        home=home[first].astype(np.intp),
        demand=_gathered(np.add, boxes.demand[members].astype(np.float64), first),
        bytes=_gathered(np.add, boxes.size[members], first),
        classes=_gathered(np.bitwise_or, boxes.classes[members], first),
        pin=_gathered(np.maximum, pin, first),
        bound=_gathered(np.logical_or, (pin != NONE) | (boxes.apart[members] != NONE) | elsewhere, first),
        group=group[first],
        free=~_gathered(np.logical_or, boxes.stays[members] | (pin != NONE) | elsewhere, first),
    )


def _gathered(how: np.ufunc, rows: NDArray[Any], first: Places) -> NDArray[Any]:
    """Return the rows of each unit brought together; as they are where every unit is one mailbox."""
    if len(first) == len(rows):
        return rows
    gathered: NDArray[Any] = how.reduceat(rows, first, axis=0)
    return gathered
