"""The plan: which mailboxes move where, in which order, so that no node is much fuller than the others.

In this order, until the budget is spent:

1. What must leave: mailboxes on drained nodes, and those that may not live where they do (``misplaced.py``). Each
   goes where it makes nodes least full, whatever the goal says; only disks are a limit. Who lives away from his group
   goes to it.
2. What should leave, where a node is hot (``goals.py``). A linear programme over kinds of mailboxes (``flow.py``)
   says how much should flow, and what room is worth on each node. Each node then chooses mailboxes (``choice.py``),
   which are put one by one, the largest first, where they make nodes least full (``spread.py``). The moves are in an
   order: each time the node that is fullest sends one, so a plan that is stopped half-way has done the most urgent
   half.

Then the same again for the fleet as it would be, until nothing more is proposed. This is why a second plan after the
first one was carried out is empty: the first has asked that question already.

What has moved has its space on both nodes: the old home keeps a copy for some days, so nothing may rely on space that
a move frees. Every part of a plan, in any order, keeps all disks below their limit.

Cost: some passes over the mailboxes, then work for each one that moves and each node. Same input, same plan: ties are
broken by number.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import nan

import numpy as np

from roost.balance.choice import leaving
from roost.balance.fleet import NONE, Flags, Fleet, Floats, State, in_chunks
from roost.balance.flow import Flow, flow
from roost.balance.goals import RULES, Rules, goal, hot
from roost.balance.kinds import Kinds, kinds
from roost.balance.misplaced import misplaced
from roost.balance.moves import Budget, Cause, Left, Move, Plan
from roost.balance.spread import Filling, Spread
from roost.balance.units import Places, Units, units
from roost.domain.load import Dimension

_ROUNDS = 8
_TRIES = 10
"""So many choices of who leaves are tried in a round while some find no better place; the best one counts."""

_TINY = 1e-12
_WORTH = 0.9
"""A round is made only where not more than this part of what is above the goal is left by it."""

UNLIMITED = Budget()


def plan(fleet: Fleet, budget: Budget = UNLIMITED, rules: Rules = RULES) -> Plan:
    """Return the moves that bring the fleet's nodes towards an equal share of what they have."""
    aim = goal(fleet, rules)
    moves: list[Move] = []
    now, left = fleet, budget
    done = np.zeros(len(fleet.mailboxes), np.bool_)
    for _ in range(_ROUNDS):
        work = _Round(now, aim, rules, left, done)
        work.evacuate()
        work.relieve()
        now, left, done = work.result(), work.budget, work.done
        moves += work.moves
        if not work.moves or work.spent:
            break
    return Plan(tuple(moves), aim, fleet.levels, now.levels, _left(now, aim, rules, spent=work.spent), now)


class _Round:
    """The state of one round: what would be where after the moves so far."""

    def __init__(self, fleet: Fleet, aim: Floats, rules: Rules, budget: Budget, done: Flags) -> None:
        self.fleet, self.rules, self.budget, self.done = fleet, rules, budget, done.copy()
        self.moves: list[Move] = []
        self.spent = False
        """Whether a move was too dear for what is left of the budget."""

        self._goal = aim
        self._aim = np.maximum(aim * fleet.nodes.capacity, _TINY)
        self._wrong = misplaced(fleet)
        self._filling = Filling.of(fleet)
        self._moved, self._to = np.zeros(0, np.intp), np.zeros(0, np.intp)

    # What must leave

    def evacuate(self) -> None:
        """Move what is on drained nodes, or where it may not live; node by node, the largest first.

        Nobody moves twice in one plan.
        """
        nodes, boxes = self.fleet.nodes, self.fleet.mailboxes
        drained = nodes.state == State.DRAINED
        should = drained[boxes.home] | self._with_their_groups(self._wrong.must | self._wrong.strays)
        found = units(self.fleet, np.flatnonzero(should), self._wrong.seats)
        size = (found.demand / self._aim[found.home]).max(axis=1)
        which = np.lexsort((-size, found.home))
        which = which[~found.any(self.done)[which]]
        target = self._targets(found, which, stay=False)
        gone = target != found.home[which]
        which, target = which[gone], target[gone]
        self._move(found, which, target, [Cause.DRAIN if drained[home] else Cause.RULE for home in found.home[which]])

    def _with_their_groups(self, wrong: Flags) -> Flags:
        """Return the mailboxes, and those on their nodes that move together with them."""
        boxes = self.fleet.mailboxes
        grouped = np.flatnonzero(boxes.together != NONE)
        places = boxes.together[grouped].astype(np.int64) * len(self.fleet.nodes) + boxes.home[grouped]
        also = wrong.copy()
        also[grouped] |= np.isin(places, places[wrong[grouped]])
        return also

    # What should leave

    def relieve(self) -> None:
        """Bring hot nodes down to the goal, and make room for that where it must be made."""
        loads, nodes = self._filling.loads, self.fleet.nodes
        too_full = hot(loads / nodes.capacity, self._goal, self.fleet, self.rules)
        if self.spent or not too_full.any():
            return
        # A node between goal and band may stay as full as it is.
        aim = np.where(too_full[:, None], self._aim, np.maximum(self._aim, loads))
        free = self._free()
        if not free.any():
            return
        sorts = kinds(self.fleet, free, self.rules.move_bytes)
        found = flow(loads, aim, sorts, nodes.open)
        self._aim = aim * found.factor
        excess = loads + found.arriving - self._aim
        excess[(excess <= 1e-9 * self._aim) | ~nodes.open[:, None]] = 0
        # All of a group leave or none, so those are told as well who are not free.
        leave = free | (self.fleet.mailboxes.together != NONE)
        leave &= np.asarray(excess.max(axis=1) > 0)[self.fleet.mailboxes.home]
        made = units(self.fleet, np.flatnonzero(leave), self._wrong.seats)
        may = made.free & free[made.first]
        cost = self._cost(made, sorts, found)
        best, which, target = _WORTH * self._too_much(loads), np.zeros(0, np.intp), np.zeros(0, np.intp)
        for _ in range(_TRIES):
            tried = _leaving(made, may, cost, excess)
            to = self._targets(made, tried, stay=True)
            gone = to != made.home[tried]
            left = self._too_much(self._filling.after(made, tried[gone], to[gone]).loads)
            if left <= best:
                best, which, target = left, tried[gone], to[gone]
            if gone.all():
                break
            may[tried[~gone]] = False  # others must leave in their stead
        order = self._fullest_first(made.home[which], made.demand[which])
        self._move(made, which[order], target[order], [Cause.LOAD] * len(order))

    def _free(self) -> Flags:
        """Say which mailboxes may move for balance and are worth it."""
        boxes, nodes = self.fleet.mailboxes, self.fleet.nodes
        free = nodes.open[boxes.home] & ~boxes.stays & (boxes.pin == NONE)
        least = (self.rules.gain * nodes.capacity).astype(np.float32)
        for part in in_chunks(len(boxes)):
            free[part] &= (boxes.demand[part] >= least[boxes.home[part]]).any(axis=1) | (boxes.together[part] != NONE)
        free[self.done] = False
        return np.asarray(free)

    def _cost(self, made: Units, sorts: Kinds, found: Flow) -> Floats:
        """Return what it costs that a unit leaves: its bytes, and the room that it takes where it is best put."""
        where = np.argmin(np.where(self.fleet.nodes.open[:, None], found.price @ sorts.mix.T, np.inf), axis=0)
        best = where[sorts.of[made.first]]
        room = np.einsum("ud,ud->u", made.demand, found.price[best])
        return np.asarray(made.bytes + float(self.rules.move_bytes) + 1.0 + room)

    def _too_much(self, loads: Floats) -> float:
        """Return how much is above the goal on open nodes: squares, added up, so that the fullest count most."""
        nodes = self.fleet.nodes
        levels = loads[nodes.open] / nodes.capacity[nodes.open]
        return float((np.maximum(levels / np.maximum(self._goal, _TINY) - 1, 0) ** 2).sum())

    def _fullest_first(self, source: Places, taken: Floats) -> Places:
        """Return an order of moves in which each next one is from the node that is fullest then, what comes aside; of
        each node in the order in which they are given."""
        before = _running(self._filling.loads, source, -taken)
        return np.argsort(-(before / self._aim[source]).max(axis=1), kind="stable")

    # Both

    def _targets(self, found: Units, which: Places, *, stay: bool) -> Places:
        """Return where units go; see ``Spread``."""
        spread = Spread(
            found, self._filling, self.fleet.nodes, self._aim, self._wrong.seats, disk=self.rules.disk, stay=stay
        )
        return spread.targets(which)

    def _move(self, found: Units, which: Places, target: Places, causes: list[Cause]) -> None:
        """Make these moves in the state, one after the other, until one is too dear."""
        lasts = self.budget.lasts(found.bytes[which], found.count[which], self.rules.pause)
        self.spent = lasts < len(which)
        which, target, causes = which[:lasts], target[:lasts], causes[:lasts]
        numbers = found.all_of(which)
        self.budget = self.budget.less(int(found.bytes[which].sum()), len(numbers), self.rules.pause)
        self.moves.extend(self._told(found, which, target, causes))
        self._filling = self._filling.after(found, which, target)
        self.done[numbers] = True
        self._moved = np.append(self._moved, numbers)
        self._to = np.append(self._to, np.repeat(target, found.count[which]))

    def _told(self, found: Units, which: Places, target: Places, causes: list[Cause]) -> Iterator[Move]:
        """Yield the moves with their figures, those of the moment before each."""
        source, taken, capacity = found.home[which], found.demand[which], self.fleet.nodes.capacity
        ends = np.stack([source, target], axis=1)
        change = np.stack([-taken, taken], axis=1)
        loads = _running(self._filling.loads, ends.ravel(), change.reshape(-1, len(Dimension))).reshape(change.shape)
        rows = np.arange(len(which))
        # A node that is too full says why of all that leave it; of the others the target does.
        of = np.array([0 if cause is Cause.LOAD else 1 for cause in causes], np.intp)
        lacks = (loads / self._aim[ends])[rows, of].argmax(axis=1)
        levels = (loads / capacity[ends])[rows, :, lacks]
        takes = taken[rows, lacks] / capacity[source, lacks]
        numbers, first = found.all_of(which), np.cumsum(found.count[which]) - found.count[which]
        logins = self.fleet.mailboxes.logins[numbers].astype(np.float64)
        known = ~np.isnan(logins)
        asked = np.add.reduceat(np.where(known, logins, 0), first)
        asked[~np.logical_or.reduceat(known, first)] = nan
        members, ends_at = numbers.tolist(), [*first.tolist(), len(numbers)]
        return map(
            Move,
            [tuple(members[begin:end]) for begin, end in pairwise(ends_at)],
            source.tolist(),
            target.tolist(),
            found.bytes[which].tolist(),
            causes,
            map(tuple(Dimension).__getitem__, lacks.tolist()),
            levels[:, 0].tolist(),
            levels[:, 1].tolist(),
            takes.tolist(),
            asked.tolist(),
        )

    def result(self) -> Fleet:
        """Return the fleet after the moves."""
        return self.fleet.moved(self._moved, self._to) if self.moves else self.fleet


def _leaving(made: Units, may: Flags, cost: Floats, excess: Floats) -> Places:
    """Return the units that should leave, node by node, the best first; ``may`` says which of them can."""
    chosen = [np.zeros(0, np.intp)]
    ends = np.searchsorted(made.home, np.arange(len(excess) + 1))
    for node in np.flatnonzero(excess.any(axis=1)).tolist():
        mine = ends[node] + np.flatnonzero(may[ends[node] : ends[node + 1]])
        lacks = np.flatnonzero(excess[node])
        if len(mine):
            chosen.append(mine[leaving(made.demand[np.ix_(mine, lacks)], cost[mine], excess[node, lacks])])
    return np.concatenate(chosen)


def _running(loads: Floats, nodes: Places, change: Floats) -> Floats:
    """Return the load of each step's node before the step, where each step changes that of one node."""
    order = np.argsort(nodes, kind="stable")
    sorted_nodes = nodes[order]
    before = np.cumsum(change[order], axis=0) - change[order]
    before += loads[sorted_nodes] - before[np.searchsorted(sorted_nodes, sorted_nodes)]
    found = np.empty_like(before)
    found[order] = before
    return found


def _left(fleet: Fleet, aim: Floats, rules: Rules, *, spent: bool) -> tuple[Left, ...]:
    """Return what the plan could not do, by node."""
    why = "the budget is spent" if spent else "nothing that may leave fits elsewhere or is worth a move"
    found = []
    over = fleet.levels / np.maximum(aim, _TINY)
    for node in np.flatnonzero(hot(fleet.levels, aim, fleet, rules)).tolist():
        dimension = Dimension(int(np.argmax(over[node])))
        found.append(Left(node, dimension, float(fleet.levels[node, dimension]), 0, why))
    drained = fleet.nodes.state == State.DRAINED
    wrong = misplaced(fleet)
    why = "the budget is spent" if spent else "no other node that they may live on has room on its disk"
    for cause, which in ((Cause.DRAIN, drained[fleet.mailboxes.home]), (Cause.RULE, wrong.must | wrong.strays)):
        count = np.bincount(fleet.mailboxes.home[which], minlength=len(fleet.nodes))
        for node in np.flatnonzero(count).tolist():
            level = float(fleet.levels[node, Dimension.DISK])
            found.append(Left(node, Dimension.DISK, level, int(count[node]), why, cause))
    return tuple(found)
