"""Where units go that leave their nodes: one after the other, the largest first, where they make nodes least full.

What counts is how much fuller a node gets in each dimension, each hundredth of the aim e times as much as the one
before: so best is a node that is empty in what the unit takes. No disk is filled, space that moves free not being
counted. Rules are kept: classes, pins, who is to be kept apart, and that a scattered group comes together at its seat
(``misplaced.py``): its parts go there or stay, but those on a drained node, which must go.

To be quick, units are looked at some at a time. How much worse each makes the nodes that suit their like is reckoned
for all of them at once; then they take their places one by one, and what each has changed is put right. A unit with
rules of its own, or for which none of those nodes will do, is compared with all nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roost.balance.apart import Apart
from roost.balance.fleet import NONE, Fleet, Floats, Nodes, Numbers, State
from roost.balance.misplaced import NOWHERE
from roost.balance.units import Places, Units
from roost.domain.load import Dimension

_STEEP = 100
"""How much worse a node is that is one part in a hundred fuller: e times."""

_MOST = 300.0
_WORST = np.exp(_MOST)
"""Nothing is worse than that, so that no sum overflows."""

_AT_ONCE = 32
_NEAR = 64
"""So many units are looked at together, and so many nodes for them."""


@dataclass(frozen=True)
class Filling:
    """How full nodes are, with what has moved so far."""

    loads: Floats
    """Nodes × dimensions."""

    disks: Floats
    """What is on the disks if nothing that leaves is removed."""

    apart: Apart

    @classmethod
    def of(cls, fleet: Fleet) -> Filling:
        """Return it as it is before any move."""
        return cls(fleet.loads, fleet.loads[:, Dimension.DISK] + fleet.nodes.kept, Apart.of(fleet))

    def after(self, found: Units, which: Places, target: Places) -> Filling:
        """Return it when these units have left for their targets."""
        taken = found.demand[which]
        came = _sums(target, taken, len(self.loads))
        loads = self.loads - _sums(found.home[which], taken, len(self.loads)) + came
        apart = self.apart.copy()
        for place in np.flatnonzero(found.bound[which]).tolist():
            apart.add(found.of(which[place]), int(target[place]))
        return Filling(loads, self.disks + came[:, Dimension.DISK], apart)


class Spread:
    """Finds a node for each unit that leaves."""

    def __init__(
        self, found: Units, filling: Filling, nodes: Nodes, aim: Floats, seats: Numbers, *, disk: float, stay: bool
    ) -> None:
        """Take the loads that nodes should have at most, the seats of groups, the level above which no ``disk`` is
        filled, and whether a unit may ``stay`` where no other node is better."""
        self._found, self._nodes, self._aim, self._stay = found, nodes, aim, stay
        self._now = Filling(filling.loads.copy(), filling.disks.copy(), filling.apart.copy())
        self._seats = seats.copy()
        self._disk = disk * nodes.capacity[:, Dimension.DISK]
        self._open, self._all = nodes.open, np.arange(len(nodes))

    def targets(self, which: Places) -> Places:
        """Return the best node for each of these units: its own where it stays, or no other may have it."""
        target, taken = self._found.home[which], self._found.demand[which]
        self._now.loads[:] -= _sums(target, taken, len(self._all))
        for some in _batches(taken / self._aim[target]):
            target[some] = self._seated(which[some])
        return target

    def _seated(self, which: Places) -> Places:
        """Return the same for some units, and count them there."""
        now, aim, home = self._now, self._aim, self._found.home[which]
        taken = self._found.demand[which]
        steep = _steep(now.loads, aim)
        usual = (steep * _grown(taken.mean(axis=0), aim)).sum(axis=1)
        among = np.argsort(np.where(self._open, usual, np.inf), kind="stable")[:_NEAR]
        steep, room = steep[among], (self._disk - now.disks)[among]
        grown = self._allowed(which, among)
        worse = np.einsum("und,nd->un", grown, steep)
        at_home, bound = self._at_home(which), self._found.bound[which].tolist()
        target, rest = home.copy(), []
        for row, disk in enumerate(taken[:, Dimension.DISK].tolist()):
            place = int(worse[row].argmin())
            least = worse[row, place]
            if bound[row] or least == np.inf or disk > room[place]:
                rest.append(row)
            elif least < at_home[row]:
                target[row] = among[place]
                room[place] -= disk
                steep[place] = np.minimum(steep[place] * (1 + grown[row, place]), _WORST)
                worse[:, place] = grown[:, place] @ steep[place]
            else:
                now.loads[home[row]] += taken[row]
                at_home = self._at_home(which)
        gone = target != home
        np.add.at(now.loads, target[gone], taken[gone])
        np.add.at(now.disks, target[gone], taken[gone, Dimension.DISK])
        for row in rest:
            target[row] = self._best(int(which[row]))
        return target

    def _best(self, unit: int) -> int:
        """Return the same for one unit, of all nodes, and count it there."""
        now, found = self._now, self._found
        one, members = np.array([unit]), found.of(unit)
        worse = (self._allowed(one, self._all)[0] * _steep(now.loads, self._aim)).sum(axis=1)
        if found.pin[unit] != NONE:
            worse[self._all != found.pin[unit]] = np.inf
        worse[now.apart.where(members)] = np.inf
        home, group = int(found.home[unit]), int(found.group[unit])
        seat = NONE if group == NONE else int(self._seats[group])
        at_seat = seat >= 0 and bool(np.isfinite(worse[seat]))
        target = seat if at_seat else int(worse.argmin())
        may = at_seat or seat == NONE or self._nodes.state[home] == State.DRAINED
        if not (may and worse[target] < self._at_home(one)[0]):
            target = home
        elif seat == NOWHERE:
            self._seats[group] = target
        now.loads[target] += found.demand[unit]
        if target != home:
            now.disks[target] += found.demand[unit, Dimension.DISK]
            now.apart.add(members, target)
        return target

    def _allowed(self, which: Places, among: Places) -> Floats:
        """Return how much units make nodes grow (units × nodes × dimensions); infinitely, where they may not go."""
        nodes, found = self._nodes, self._found
        taken = found.demand[which][:, None]
        fits = self._open[among] & ((found.classes[which][:, None] & ~nodes.classes[among]) == 0)
        fits &= self._now.disks[among] + taken[..., Dimension.DISK] <= self._disk[among]
        fits &= among != found.home[which][:, None]
        grown = _grown(taken, self._aim[among])
        grown[~fits] = np.inf
        return grown

    def _at_home(self, which: Places) -> Floats:
        """Return how much worse it is that units stay."""
        if not self._stay:
            return np.full(len(which), np.inf)
        home = self._found.home[which]
        grown = _grown(self._found.demand[which], self._aim[home])
        return np.asarray((grown * _steep(self._now.loads[home], self._aim[home])).sum(axis=1))


def _batches(size: Floats) -> Iterator[Places]:
    """Yield which units are looked at together, the largest first: those of about a size that take most of the same.

    ``size`` is what they take as a part of the aim (units × dimensions).
    """
    largest, most = np.maximum(size.max(axis=1), 1e-30), size.argmax(axis=1)
    about = np.floor(4 * np.log2(largest))
    order = np.lexsort((-largest, most, -about))
    ends = np.flatnonzero(np.diff(about[order] * len(Dimension) + most[order])) + 1
    for alike in np.split(order, ends):
        yield from (alike[first : first + _AT_ONCE] for first in range(0, len(alike), _AT_ONCE))


def _steep(loads: Floats, aim: Floats) -> Floats:
    """Return how bad it is that nodes get fuller than they are: more than they can be, for one that is full."""
    return np.asarray(np.exp(np.minimum(_STEEP * (loads / aim - 1), _MOST)))


def _grown(taken: Floats, aim: Floats) -> Floats:
    """Return by how much it is worse after a load has come: a part of what ``_steep`` says."""
    return np.asarray(np.expm1(np.minimum(_STEEP * taken / aim, _MOST)))


def _sums(nodes: Places, taken: Floats, count: int) -> Floats:
    """Return the sums for each node."""
    return np.stack([np.bincount(nodes, taken[:, dimension], count) for dimension in Dimension], axis=1)
