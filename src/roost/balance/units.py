"""What moves as one: a mailbox, or all those of an affinity group that live on one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roost.balance.fleet import NONE, Bytes, Flags, Fleet, Floats, Masks, Numbers, same

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
    """Classes that all of its mailboxes may have."""

    pin: Numbers
    bound: Flags
    """Whether a rule besides classes says where it may go: a pin, others to be kept apart from, a scattered group."""

    rest: Numbers
    """The node on which those of its group live who are elsewhere; ``NONE`` where it is none or several."""

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


@dataclass(frozen=True)
class Groups:
    """Where affinity groups live, a row each: of their nodes the first, the last, and whether there are more."""

    first: Numbers
    last: Numbers
    more: Flags

    @property
    def scattered(self) -> Flags:
        """Say which live on several nodes."""
        return np.asarray(self.first != self.last)

    def rest(self, group: Numbers, home: Numbers) -> Numbers:
        """Return the node on which those of a group live who are not on this one, see ``Units``."""
        first, last = self.first[group], self.last[group]
        return np.where(self.more[group] | (first == last), NONE, np.where(first == home, last, first))


def units(fleet: Fleet, mailboxes: Places, groups: Groups) -> Units:
    """Return the units that these mailboxes make, in the order of their nodes, then first numbers or groups."""
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
    elsewhere, rest = np.zeros(len(members), np.bool_), same(NONE, len(first), np.int32)
    if len(groups.first):
        elsewhere = (group != NONE) & groups.scattered[group]
        rest = np.where(elsewhere[first], groups.rest(group[first], home[first]), NONE)
    return Units(
        members=members,
        starts=np.append(first, len(members)),
        home=home[first].astype(np.intp),
        demand=_gathered(np.add, boxes.demand[members].astype(np.float64), first),
        bytes=_gathered(np.add, boxes.size[members], first),
        classes=_gathered(np.bitwise_and, boxes.classes[members], first),
        pin=_gathered(np.maximum, pin, first),
        bound=_gathered(np.logical_or, (pin != NONE) | (boxes.apart[members] != NONE) | elsewhere, first),
        rest=rest,
        free=~_gathered(np.logical_or, boxes.stays[members] | (pin != NONE) | elsewhere, first),
    )


def groups(fleet: Fleet) -> Groups:
    """Return where the affinity groups live."""
    boxes = fleet.mailboxes
    members = np.flatnonzero(boxes.together != NONE)
    group, home = boxes.together[members], boxes.home[members]
    count = int(group.max(initial=NONE)) + 1
    first, last = np.full(count, len(fleet.nodes), np.int32), np.full(count, NONE, np.int32)
    np.minimum.at(first, group, home)
    np.maximum.at(last, group, home)
    more = np.zeros(count, np.bool_)
    more[group[(home != first[group]) & (home != last[group])]] = True
    return Groups(first, last, more)


def _gathered(how: np.ufunc, rows: NDArray[Any], first: Places) -> NDArray[Any]:
    """Return the rows of each unit brought together; as they are where every unit is one mailbox."""
    if len(first) == len(rows):
        return rows
    gathered: NDArray[Any] = how.reduceat(rows, first, axis=0)
    return gathered
