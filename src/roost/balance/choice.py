"""Which units leave a node that is too full, so that the fewest bytes are copied.

This is a linear programme: choose units, each with a cost, so that in every dimension that is too full at least the
excess leaves. Its solution has a price for each dimension: what leaves are the units that are worth more, at these
prices, than they cost. With one dimension that is the order of demand by cost. With several, prices are found by
raising those of which too little would leave and lowering the others; at most four numbers for each node.

The answer differs from the programme's by parts of one or two units, since units cannot be cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roost.balance.fleet import Floats

_ROUNDS = 40
_LOOKED_AT = 64
"""Of the last that were chosen, so many are tried for whether the plan does without."""


def leaving(taken: Floats, cost: Floats, excess: Floats) -> NDArray[np.intp]:
    """Return the units that should leave, the best first; all where even they are not enough.

    ``taken`` is what each takes (units × dimensions, the full ones only), ``excess`` what must leave of each.
    """
    parts = taken / excess
    ways = [np.eye(len(excess))[place] for place in range(len(excess))]
    if len(excess) > 1:
        ways.append(_prices(parts, cost))
    found = [_covering(parts, cost, np.argsort(-(parts @ prices) / cost, kind="stable")) for prices in ways]
    return min(found, key=lambda chosen: float(cost[chosen].sum()))


def _prices(parts: Floats, cost: Floats) -> Floats:
    """Return a price for each dimension, at which just as much leaves as must."""
    prices = np.full(parts.shape[1], float(np.median(cost)) + 1.0)
    for turn in range(_ROUNDS):
        leaves = parts[parts @ prices > cost].sum(axis=0)
        prices *= np.clip(1 / np.maximum(leaves, 1e-9), 0.25, 4.0) ** (1 / (1 + turn / 8))
        prices = np.clip(prices, 1e-12, 1e18)
    return prices


def _covering(parts: Floats, cost: Floats, ranked: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first units in this order that cover the excess, without those that are not needed for it."""
    covered = np.cumsum(parts[ranked], axis=0)
    enough = np.flatnonzero((covered >= 1).all(axis=1))
    if not len(enough):
        return ranked
    chosen: list[int] = ranked[: enough[0] + 1].tolist()
    spare = covered[enough[0]] - 1
    for unit in chosen[: -_LOOKED_AT - 1 : -1]:
        if (parts[unit] <= spare).all():
            spare = spare - parts[unit]
            chosen.remove(unit)
    # The last one may be far more than is needed: the cheapest that is just enough takes its place.
    last = chosen[-1]
    lacking = parts[last] - spare
    rest = ranked[enough[0] + 1 :]
    does = rest[(parts[rest] >= lacking).all(axis=1)]
    if len(does):
        cheapest = int(does[np.argmin(cost[does])])
        if cost[cheapest] < cost[last]:
            chosen[-1] = cheapest
    return np.array(chosen, np.intp)
