"""The plan: which mailboxes move where, in which order, so that no node is much fuller than the others.

In this order, until the budget is spent:

1. What must leave: mailboxes on drained nodes, and those that may not live where they do (``misplaced.py``). Each
   goes where it makes nodes least full, whatever the goal says; only disks are a limit. Who lives away from his group
   goes to it.
2. What should leave, where a node is hot (``goals.py``). A linear programme over kinds of mailboxes (``flow.py``)
   says how much should flow, and what room is worth on each node. Each node then chooses mailboxes (``choice.py``),
   which are put one by one, the largest first, where they make nodes least full. The moves are ordered so that each
   time the node that is fullest sends one: a plan that is stopped half-way has done the most urgent half.

Then the same again for the fleet as it would be, until nothing more is proposed. This is why a second plan after the
first one was carried out is empty: the first has asked that question already.

What has moved has its space on both nodes: the old home keeps a copy for some days, so nothing may rely on space that
a move frees. Every part of a plan, in any order, keeps all disks below their limit.

Cost: some passes over the mailboxes, then work for each one that moves and each node. Same input, same plan: ties are
broken by number.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan, nan

import numpy as np

from roost.balance.choice import leaving
from roost.balance.fleet import NONE, Flags, Fleet, Floats, State, in_chunks
from roost.balance.flow import Flow, flow
from roost.balance.goals import RULES, Rules, goal, hot
from roost.balance.kinds import Kinds, kinds
from roost.balance.misplaced import NOWHERE, misplaced
from roost.balance.moves import Budget, Cause, Left, Move, Plan
from roost.balance.units import Places, Units, units
from roost.domain.load import Dimension

_ROUNDS = 8
_TRIES = 3
_TINY = 1e-12
_STEEP = 100
"""How much worse a node is that is one part in a hundred fuller: e times."""

_SHORT = 64
"""So many nodes are looked at for each unit; every so often all."""

_WORTH = 0.9
"""A round is made only where not more than this part of what is above the goal is left by it."""

UNLIMITED = Budget()


def plan(fleet: Fleet, budget: Budget = UNLIMITED, rules: Rules = RULES) -> Plan:
    """Return the moves that bring the fleet's nodes towards an equal share of what they have."""
    aim = goal(fleet, rules)
    moves: list[Move] = []
    now, left = fleet, budget
    for _ in range(_ROUNDS):
        work = _Round(now, aim, rules, left, {number for move in moves for number in move.mailboxes})
        work.evacuate()
        work.relieve()
        now, left = work.result(), work.budget
        moves += work.moves
        if not work.moves or work.spent:
            break
    return Plan(tuple(moves), aim, fleet.levels, now.levels, _left(now, aim, rules, spent=work.spent), now)


class _Round:
    """The state of one round: what would be where after the moves so far."""

    def __init__(self, fleet: Fleet, aim: Floats, rules: Rules, budget: Budget, done: set[int]) -> None:
        self.fleet, self.rules, self.budget = fleet, rules, budget
        self.moves: list[Move] = []
        self.spent = False
        """Whether a move was too dear for what is left of the budget."""

        nodes, boxes = fleet.nodes, fleet.mailboxes
        self._goal = aim
        self._aim = np.maximum(aim * nodes.capacity, _TINY)
        self._loads = fleet.loads.copy()
        self._filled = fleet.loads[:, Dimension.DISK] + nodes.kept
        self._disk = self.rules.disk * nodes.capacity[:, Dimension.DISK]
        self._open = nodes.open
        self._home = boxes.home
        self._all = np.arange(len(nodes))
        self._wrong = misplaced(fleet)
        self._seats = self._wrong.seats
        self._done = done
        self._apart = _Apart(fleet)

    # What must leave

    def evacuate(self) -> None:
        """Move what is on drained nodes, or where it may not live. Nobody moves twice in one plan."""
        nodes, boxes = self.fleet.nodes, self.fleet.mailboxes
        drained = nodes.state == State.DRAINED
        should = drained[boxes.home] | self._wrong.must | self._wrong.strays
        for source, which in self._by_home(np.flatnonzero(should)):
            cause = Cause.DRAIN if drained[source] else Cause.RULE
            all_of_them = which if cause is Cause.DRAIN else self._with_their_groups(source, which)
            found = units(self.fleet, all_of_them, self._seats)
            # The largest first: they have the fewest places to go.
            size = (found.demand / nodes.capacity.mean(axis=0)).max(axis=1)
            for unit in np.argsort(-size, kind="stable").tolist():
                if not self._done.isdisjoint(found.of(unit)):
                    continue
                target = self._best(found, unit, source, cause)
                if target is not None and not self._move(found, unit, source, target, cause):
                    return

    def _with_their_groups(self, source: int, which: Places) -> Places:
        """Return the mailboxes, and those on their node that move together with them."""
        boxes = self.fleet.mailboxes
        groups = np.unique(boxes.together[which])
        groups = groups[groups != NONE]
        if not len(groups):
            return which
        also = np.flatnonzero((boxes.home == source) & np.isin(boxes.together, groups))
        return np.union1d(which, also)

    # What should leave

    def relieve(self) -> None:
        """Bring hot nodes down to the goal, and make room for that where it must be made."""
        too_full = hot(self._loads / self.fleet.nodes.capacity, self._goal, self.fleet, self.rules)
        if self.spent or not too_full.any():
            return
        # A node between goal and band may stay as full as it is.
        aim = np.where(too_full[:, None], self._aim, np.maximum(self._aim, self._loads))
        free = self._free()
        if not free.any():
            return
        sorts = kinds(self.fleet, free, self.rules.move_bytes)
        found = flow(self._loads, aim, sorts, self._open)
        self._aim = aim * found.factor
        for _ in range(_TRIES):
            pool = self._pool(free, sorts, found)
            ways, after, homeless = self._spread(pool)
            if not homeless:
                break
            free[homeless] = False  # others must leave in their stead
        if self._too_much(after) > _WORTH * self._too_much(self._loads):
            return
        for source, unit, target in self._in_order(ways):
            # Others of an anti-affinity group may have moved since the target was chosen.
            if target in self._apart.where(pool.units[source].of(unit)):
                continue
            if not self._move(pool.units[source], unit, source, target, Cause.LOAD):
                return

    def _free(self) -> Flags:
        """Say which mailboxes may move for balance and are worth it."""
        boxes, nodes = self.fleet.mailboxes, self.fleet.nodes
        free = self._open[boxes.home] & ~boxes.stays & (boxes.pin == NONE)
        least = (self.rules.gain * nodes.capacity).astype(np.float32)
        for part in in_chunks(len(boxes)):
            free[part] &= (boxes.demand[part] >= least[boxes.home[part]]).any(axis=1) | (boxes.together[part] != NONE)
        for move in self.moves:
            free[list(move.mailboxes)] = False
        members = np.flatnonzero(boxes.together != NONE)
        groups = boxes.together[members]
        # One who stays holds all of his group.
        free[members[np.isin(groups, groups[~free[members]])]] = False
        return np.asarray(free)

    def _pool(self, free: Flags, sorts: Kinds, found: Flow) -> _Pool:
        """Return what leaves each node, chosen so that what is to come has room."""
        # Where each kind of mailbox is best put, and so what each mailbox costs there.
        where = np.argmin(np.where(self._open[:, None], found.price @ sorts.mix.T, np.inf), axis=0)
        pool = _Pool({}, [])
        for source, which in self._by_home(np.flatnonzero(free)):
            excess = self._loads[source] + found.arriving[source] - self._aim[source]
            places = np.flatnonzero(excess > 1e-9 * self._aim[source])
            if not len(places):
                continue
            made = units(self.fleet, which, self._seats)
            may = np.flatnonzero(made.free)
            if not len(may):
                continue
            cost = made.bytes[may].astype(np.float64) + float(self.rules.move_bytes) + 1.0
            cost += (made.demand[may] * found.price[where[sorts.of[made.members[made.starts[may]]]]]).sum(axis=1)
            chosen = may[leaving(made.demand[np.ix_(may, places)], cost, excess[places])]
            pool.units[source] = made
            pool.chosen.extend((source, unit) for unit in chosen.tolist())
        return pool

    def _spread(self, pool: _Pool) -> tuple[dict[int, list[tuple[int, int]]], Floats, list[int]]:
        """Return for each source what it sends where, in the order in which it was chosen; the loads after all of
        it; and the mailboxes that are best where they are."""
        fill = _Fill(self._loads.copy(), self._filled.copy())
        loads = fill.loads
        for source, unit in pool.chosen:
            loads[source] -= pool.units[source].demand[unit]
        # The largest first: they have the fewest places to go.
        size = np.array([(pool.units[source].demand[unit] / self._aim[source]).max() for source, unit in pool.chosen])
        near = _Near(self)
        sent: dict[tuple[int, int], int] = {}
        homeless: list[int] = []
        for place in np.argsort(-size, kind="stable").tolist():
            source, unit = pool.chosen[place]
            found = pool.units[source]
            target = near.best(found, unit, source, fill)
            if target == source:
                loads[source] += found.demand[unit]
                homeless.extend(found.of(unit))
                continue
            loads[target] += found.demand[unit]
            fill.disks[target] += found.demand[unit, Dimension.DISK]
            sent[source, unit] = target
        ways: dict[int, list[tuple[int, int]]] = {}
        for source, unit in pool.chosen:
            if (source, unit) in sent:
                ways.setdefault(source, []).append((unit, sent[source, unit]))
        return ways, loads, homeless

    def _too_much(self, loads: Floats) -> float:
        """Return how much is above the goal on open nodes: squares, added up, so that the fullest count most."""
        levels = loads[self._open] / self.fleet.nodes.capacity[self._open]
        return float((np.maximum(levels / np.maximum(self._goal, _TINY) - 1, 0) ** 2).sum())

    def _in_order(self, ways: dict[int, list[tuple[int, int]]]) -> Iterator[tuple[int, int, int]]:
        """Yield the moves, each time the next of the node that is fullest then."""

        def level(node: int) -> float:
            return float((self._loads[node] / self._aim[node]).max())

        queue = [(-level(node), node) for node in sorted(ways)]
        heapq.heapify(queue)
        rest = {node: iter(way) for node, way in ways.items()}
        while queue:
            _, source = heapq.heappop(queue)
            step = next(rest[source], None)
            if step is not None:
                yield source, *step
                heapq.heappush(queue, (-level(source), source))

    # Both

    def _best(self, found: Units, unit: int, source: int, cause: Cause) -> int | None:
        """Return the node that is best for a unit that should leave, None where none may have it.

        Where the rest of its group lives elsewhere, that is there, or only for a drain another.
        """
        worse = self._worse(found, unit, source, _Fill(self._loads, self._filled), self._all)
        group = int(self.fleet.mailboxes.together[found.of(unit)[0]])
        seat = NONE if group == NONE else int(self._seats[group])
        if seat >= 0 and np.isfinite(worse[seat]):
            return seat
        best = int(np.argmin(worse))
        if not np.isfinite(worse[best]) or (seat != NONE and cause is not Cause.DRAIN):
            return None
        if seat == NOWHERE:
            self._seats[group] = best
        return best

    def _worse(self, found: Units, unit: int, source: int, fill: _Fill, among: Places) -> Floats:
        """Return how much worse a unit makes each of these nodes; infinitely, where it may not go.

        What counts is how much fuller a node gets, and far more so for one that is full: so best is one that is empty
        in what the unit takes. No disk is filled, space that moves free not being counted.
        """
        nodes, taken = self.fleet.nodes, found.demand[unit]
        fits = self._open[among] & ((found.classes[unit] & ~nodes.classes[among]) == 0)
        fits &= fill.disks[among] + taken[Dimension.DISK] <= self._disk[among]
        fits &= among != source
        if found.pin[unit] != NONE:
            fits &= among == found.pin[unit]
        for node in self._apart.where(found.of(unit)):
            fits &= among != node
        return np.where(fits, _added(fill.loads[among], taken, self._aim[among]), np.inf)

    def _worse_at_home(self, found: Units, unit: int, source: int, loads: Floats) -> float:
        """Return how much worse it is that a unit stays."""
        here = np.array([source])
        return float(_added(loads[here], found.demand[unit], self._aim[here])[0])

    def _move(self, found: Units, unit: int, source: int, target: int, cause: Cause) -> bool:
        """Make the move in the state, unless it is too dear; False then."""
        mailboxes, size, taken = found.of(unit), int(found.bytes[unit]), found.demand[unit]
        left = self.budget.less(size, len(mailboxes), self.rules.pause * len(mailboxes))
        if left is None:
            self.spent = True
            return False
        capacity = self.fleet.nodes.capacity
        of = source if cause is Cause.LOAD else target
        dimension = Dimension(int(np.argmax(self._loads[of] / self._aim[of])))
        logins = [float(self.fleet.mailboxes.logins[number]) for number in mailboxes]
        self.moves.append(
            Move(
                mailboxes=mailboxes,
                source=source,
                target=target,
                bytes=size,
                cause=cause,
                dimension=dimension,
                source_level=float(self._loads[source, dimension] / capacity[source, dimension]),
                target_level=float(self._loads[target, dimension] / capacity[target, dimension]),
                takes=float(taken[dimension] / capacity[source, dimension]),
                logins=sum(told) if (told := [value for value in logins if not isnan(value)]) else nan,
            )
        )
        self.budget = left
        self._loads[source] -= taken
        self._loads[target] += taken
        self._filled[target] += taken[Dimension.DISK]
        self._apart.moved(mailboxes, target)
        return True

    def _by_home(self, mailboxes: Places) -> Iterator[tuple[int, Places]]:
        """Yield nodes with those of the mailboxes that live there, in the order of their numbers."""
        homes = self._home[mailboxes]
        # numpy sorts 16-bit numbers by counting, several times as quick.
        order = np.argsort(homes.astype(np.uint16) if len(self.fleet.nodes) < 1 << 16 else homes, kind="stable")
        ends = np.searchsorted(homes[order], np.arange(len(self.fleet.nodes) + 1))
        for node in np.flatnonzero(np.diff(ends)).tolist():
            yield node, mailboxes[order[ends[node] : ends[node + 1]]]

    def result(self) -> Fleet:
        """Return the fleet after the moves."""
        pairs = [(number, move.target) for move in self.moves for number in move.mailboxes]
        return self.fleet.moved(*zip(*pairs, strict=True)) if pairs else self.fleet


def _added(loads: Floats, taken: Floats, aim: Floats) -> Floats:
    """Return how much worse nodes get by a load: each hundredth of the goal counts e times the one before."""
    before, more = loads / aim - 1, taken / aim
    steep = np.exp(_STEEP * np.minimum(before, 3)) * np.expm1(np.minimum(_STEEP * more, 300))
    return np.asarray(steep.sum(axis=1))


@dataclass(frozen=True)
class _Fill:
    """How full nodes are: the loads, and what is on their disks if nothing that leaves is removed."""

    loads: Floats
    disks: Floats


@dataclass(frozen=True)
class _Pool:
    """What leaves its nodes."""

    units: dict[int, Units]
    chosen: list[tuple[int, int]]
    """Source and unit."""


class _Near:
    """Remembers for a while which nodes were best, so that not all are looked at for each unit."""

    def __init__(self, work: _Round) -> None:
        self._work = work
        self._short: dict[int, tuple[int, Places]] = {}
        """By the dimension of which a unit takes most: units until they are looked for anew, and nodes."""

    def best(self, found: Units, unit: int, source: int, fill: _Fill) -> int:
        """Return the best node for a unit, its own if that is best."""
        work = self._work
        home = work._worse_at_home(found, unit, source, fill.loads)
        most = int(np.argmax(found.demand[unit] / work._aim[source]))
        left, among = self._short.get(most, (0, work._all))
        if not left:
            worse = work._worse(found, unit, source, fill, work._all)
            among = np.argsort(worse, kind="stable")[:_SHORT]
            left, worse = _SHORT // 2, worse[among]
        else:
            worse = work._worse(found, unit, source, fill, among)
        place = int(np.argmin(worse))
        # Where none of the list will do, the next one looks at all.
        self._short[most] = (left - 1 if worse[place] < home else 0, among)
        return int(among[place]) if worse[place] < home else source


class _Apart:
    """Where mailboxes of each anti-affinity group live, with the moves so far."""

    def __init__(self, fleet: Fleet) -> None:
        boxes = fleet.mailboxes
        members = np.flatnonzero(boxes.apart != NONE)
        self._group = boxes.apart
        self._homes = dict(zip(members.tolist(), boxes.home[members].tolist(), strict=True))
        self._members: dict[int, list[int]] = {}
        for number, group in zip(members.tolist(), boxes.apart[members].tolist(), strict=True):
            self._members.setdefault(group, []).append(number)

    def where(self, mailboxes: tuple[int, ...]) -> set[int]:
        """Return the nodes where another of these mailboxes' groups lives."""
        if not self._homes:
            return set()
        groups = [self._members.get(int(self._group[number]), ()) for number in mailboxes]
        return {self._homes[other] for members in groups for other in members if other not in mailboxes}

    def moved(self, mailboxes: tuple[int, ...], target: int) -> None:
        """Take note of a move."""
        if self._homes:
            self._homes.update((number, target) for number in mailboxes if number in self._homes)


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
    for cause, which in (
        (Cause.DRAIN, drained[fleet.mailboxes.home]),
        (Cause.RULE, wrong.must | wrong.strays),
    ):
        why = "the budget is spent" if spent else "no other node that they may live on has room on its disk"
        count = np.bincount(fleet.mailboxes.home[which], minlength=len(fleet.nodes))
        for node in np.flatnonzero(count).tolist():
            level = float(fleet.levels[node, Dimension.DISK])
            found.append(Left(node, Dimension.DISK, level, int(count[node]), why, cause))
    return tuple(found)
