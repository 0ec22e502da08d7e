"""How much of which kind of mailbox should leave each node and arrive at which, so that the fewest bytes are copied.

Whole mailboxes are for ``plan.py``; here they are sand. Mailboxes that take the dimensions in like proportions, and
cost alike, are one *kind*; of each kind any part of what a node has may leave it and arrive at another. That is a
linear programme: no node above its aim in any dimension, at the least cost. Its answer says what a node must make
room for, and its prices say what room is worth where: room on the disk of a fast node, for example, is dear.

It is solved by the primal-dual hybrid gradient method with diagonal steps (Pock and Chambolle, ICCV 2011) that begins
anew from the average now and then (Applegate and others, NeurIPS 2021): products of matrices with as many rows as
nodes and as many columns as kinds, some hundred times. Its precision of some parts in a thousand is enough here,
since mailboxes cannot be cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from roost.balance.fleet import Flags, Floats
from roost.balance.kinds import Kinds

_TURNS = 24
_STEPS = 80
"""The method runs so many turns of so many steps at most."""

_CLOSE = 1e-3
"""It ends when levels, flows and costs are as near as that."""

_HEAVY = 0.2
"""How much a step in prices weighs against one in what flows, measured by what is copied: tried out."""


@dataclass(frozen=True)
class Flow:
    """The answer. ``factor`` is the level, in aims, below which the fullest node cannot be; 1 where aims are met."""

    factor: float
    arriving: Floats
    """Nodes × dimensions: the load that comes to each node."""

    price: Floats
    """Nodes × dimensions: what one more of the load costs there."""


def flow(loads: Floats, aim: Floats, kinds: Kinds, open: Flags) -> Flow:
    """Return what should flow between open nodes, from loads and aims (nodes × dimensions): first how low levels can
    be, then how cheaply they get there."""
    loads, mine = loads[open], replace(kinds, mass=kinds.mass[open], cost=kinds.cost[open])
    even = _evenly(loads, aim[open], mine)
    factor = 1.0 if even.sum() >= 1 else _solve(loads, aim[open], mine, cheapest=False).factor
    best = _solve(loads, aim[open] * factor, mine, cheapest=True)
    arriving, price = np.zeros_like(aim), np.zeros_like(aim)
    arriving[open], price[open] = best.arriving, best.price / (aim[open] * factor)
    return Flow(factor, arriving, price)


def _evenly(loads: Floats, aim: Floats, kinds: Kinds) -> Floats:
    """Return what part of everything that moves each node has room for, if each gets of all kinds alike."""
    moves = kinds.mass.sum(axis=0) @ kinds.mix
    room = np.maximum(aim - loads + kinds.mass @ kinds.mix, 0)
    return np.asarray(np.divide(room, moves, out=np.full_like(room, np.inf), where=moves > 0).min(axis=1))


def _solve(loads: Floats, aim: Floats, kinds: Kinds, *, cheapest: bool) -> Flow:
    """Solve one programme: the least factor by which aims must be raised; or the cheapest for these aims."""
    mass, mix = kinds.mass, kinds.mix
    level, total = loads / aim, mass.sum(axis=0)
    scale = float((kinds.cost * mass).sum()) or 1.0
    cost = kinds.cost / scale if cheapest else np.zeros_like(mass)
    # What a step may be at most, for each unknown.
    unit = mass + total / len(mass)
    flow_step = unit / ((1 / aim) @ mix.T + 1 / total)
    row = unit @ mix / aim
    price_step = np.divide(1, row, out=np.zeros_like(row), where=row > 0)
    value_step = 0.5 / total**2
    factor_step = 1 / level.size
    weight = 0.1 if cheapest else 1.0
    # What comes to each node, of each kind; below nothing, what leaves it.
    net, price, value, factor = np.zeros_like(mass), np.zeros_like(level), np.zeros_like(total), 1.0
    moved, other = np.empty_like(mass), np.empty_like(mass)
    takes = np.ascontiguousarray(mix.T)
    fullest = spent = np.inf
    for _ in range(_TURNS):
        before = (fullest, spent)
        sums = [np.zeros_like(net), np.zeros_like(price), np.zeros_like(value), np.zeros(1)]
        step, dear = flow_step / -weight, flow_step / weight * cost
        for _ in range(_STEPS):
            # In place: fresh matrices of this size cost more than what is reckoned in them.
            np.einsum("nd,dk->nk", price / aim, takes, out=moved)
            moved -= value
            moved *= step
            moved += net
            # Who would send less than the cost is worth sends nothing; nobody sends more than he has.
            np.add(moved, dear, out=other)
            np.maximum(moved, np.minimum(other, 0, out=other), out=moved)
            np.maximum(moved, -mass, out=moved)
            raised = factor if cheapest else max(1.0, factor - (1 - float(price.sum())) * factor_step / weight)
            ahead = np.subtract(2 * moved, net, out=other)
            price = np.maximum(0, price + weight * price_step * (level + ahead @ mix / aim - (2 * raised - factor)))
            value = value - weight * value_step * ahead.sum(axis=0)
            net, moved, factor = moved, net, raised
            for place, new in enumerate((net, price, value, factor)):
                sums[place] += new
        net, price, value = (held / _STEPS for held in sums[:3])
        factor = float(sums[3][0]) / _STEPS
        fullest, spent = float((level + net @ mix / aim).max()), float((cost * np.maximum(-net, 0)).sum())
        met = fullest <= factor * (1 + _CLOSE)
        if (
            met
            and abs(fullest - before[0]) < _CLOSE
            and (not cheapest or abs(spent - before[1]) < 2 * _CLOSE * spent)
        ):
            break
        if cheapest:
            weight = float(np.sqrt(weight * max(_HEAVY * spent, 1e-9)))
    return Flow(factor if cheapest else max(1.0, fullest), np.maximum(net, 0) @ mix, price * scale)
