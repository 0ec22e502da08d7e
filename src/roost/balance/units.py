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
    """Units of one node, a row each. The mailboxes of unit ``u`` are ``members[starts[u]:starts[u + 1]]``."""

    members: Places
    starts: Places
    demand: Floats
    bytes: Bytes
    classes: Masks
    """Classes that its node must offer, for any of its mailboxes."""

    pin: Numbers
    free: Flags
    """Whether it may move for balance: nobody in it is pinned or stays, and its group lives on one node."""

    def __len__(self) -> int:
        return len(self.bytes)

    def of(self, unit: int) -> tuple[int, ...]:
        """Return the numbers of its mailboxes."""
        return tuple(self.members[self.starts[unit] : self.starts[unit + 1]].tolist())


def units(fleet: Fleet, mailboxes: Places, seats: Numbers) -> Units:
    """Return the units that these mailboxes of one node make, in the order of their first numbers or groups.

    ``seats`` has of each affinity group that lives on several nodes where it belongs (``misplaced.py``).
    """
    boxes = fleet.mailboxes
    group = boxes.together[mailboxes].astype(np.int64)
    # A mailbox without a group is one of its own: numbers below any group's, different for each.
    key = np.where(group == NONE, -2 - mailboxes, group)
    order = np.argsort(-key if (group == NONE).all() else key, kind="stable")
    members, key = mailboxes[order], key[order]
    first = np.flatnonzero(np.diff(key, prepend=key[0] - 1)) if len(key) else np.zeros(0, np.intp)
    groups = boxes.together[members]
    held = boxes.stays[members] | (boxes.pin[members] != NONE)
    if len(seats):
        held |= (groups != NONE) & (seats[groups] != NONE)
    return Units(
        members=members,
        starts=np.append(first, len(members)),
        demand=_gathered(np.add, boxes.demand[members].astype(np.float64), first),
        bytes=_gathered(np.add, boxes.size[members], first),
        classes=_gathered(np.bitwise_or, boxes.classes[members], first),
        pin=_gathered(np.maximum, boxes.pin[members], first),
        free=~_gathered(np.logical_or, held, first),
    )


def _gathered(how: np.ufunc, rows: NDArray[Any], first: Places) -> NDArray[Any]:
    """Return the rows of each unit brought together; as they are where every unit is one mailbox."""
    if len(first) == len(rows):
        return rows
    gathered: NDArray[Any] = how.reduceat(rows, first, axis=0)
    return gathered
