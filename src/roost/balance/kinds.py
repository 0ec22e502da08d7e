"""Mailboxes in kinds: those that take the dimensions in like proportions, and cost alike to move.

Proportions are told apart by factors of two. Ten million mailboxes are of some hundred kinds, so what depends on the
proportions only can be reckoned for each kind instead of each mailbox.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roost.balance.fleet import Flags, Fleet, Floats, in_chunks
from roost.domain.load import Dimension

_LEVELS = 12
"""So many factors of two are told apart in each proportion; what is beyond counts as the last."""

_COSTS = 16
NO_KIND = -1
_CELLS = 200_000
"""Nodes × kinds at most: what the programme's matrices hold. With many nodes kinds are coarser."""


@dataclass(frozen=True)
class Kinds:
    """Which kinds there are, and what each node has of them."""

    of: NDArray[np.int32]
    """Of each mailbox its kind; ``NO_KIND`` for one that does not move."""

    mass: Floats
    """Nodes × kinds: what a node has. A mailbox's mass is the mean of its parts of the fleet's dimensions."""

    mix: Floats
    """Kinds × dimensions: what one mass of it takes."""

    cost: Floats
    """Nodes × kinds: bytes of one mass of it there."""


def kinds(fleet: Fleet, free: Flags, move_bytes: float) -> Kinds:
    """Return the kinds of the mailboxes that are free to move. A move costs so many bytes besides its own."""
    boxes, nodes = fleet.mailboxes, len(fleet.nodes)
    total = np.maximum(fleet.loads.sum(axis=0), 1e-30)
    shape = (*[_LEVELS] * len(Dimension), _COSTS)
    counted = np.zeros(int(np.prod(shape)), np.int64)
    key = np.empty(len(boxes), np.int32)
    usual = float(boxes.size.mean()) + move_bytes if len(boxes) else 1.0
    for part in in_chunks(len(boxes)):
        parts = boxes.demand[part] / total.astype(np.float32)
        mass = np.maximum(parts.mean(axis=1), np.float32(1e-30))
        places = [_step(parts[:, d] / mass, _LEVELS, _LEVELS - 3) for d in Dimension]
        cost = (boxes.size[part] + move_bytes) / (usual * len(boxes))
        places.append(_step((cost / mass).astype(np.float32), _COSTS, _COSTS // 2))
        key[part] = np.ravel_multi_index(places, shape)
        counted += np.bincount(key[part][free[part]], minlength=len(counted))
    number = _numbered(np.flatnonzero(counted), shape, most=max(1, _CELLS // nodes))
    kind = number[key]
    kind[~free] = NO_KIND
    width = int(number.max(initial=NO_KIND)) + 1
    mass, cost = np.zeros(nodes * width), np.zeros(nodes * width)
    taken = np.zeros((width, len(Dimension)))
    for part in in_chunks(len(boxes)):
        here = free[part]
        which, demand = kind[part][here], boxes.demand[part][here]
        cell = boxes.home[part][here].astype(np.int64) * width + which
        mass += np.bincount(cell, (demand / total).mean(axis=1), minlength=len(mass))
        cost += np.bincount(cell, boxes.size[part][here] + move_bytes, minlength=len(cost))
        for dimension in Dimension:
            taken[:, dimension] += np.bincount(which, demand[:, dimension], minlength=width)
    mass, cost = mass.reshape(nodes, width), cost.reshape(nodes, width)
    each: Floats = np.divide(cost, mass, out=np.zeros_like(cost), where=mass > 0)
    mix: Floats = taken / np.maximum(mass.sum(axis=0), 1e-300)[:, None]
    return Kinds(kind, mass, mix, each)


def _numbered(known: NDArray[np.intp], shape: tuple[int, ...], *, most: int) -> NDArray[np.int32]:
    """Return the number of the kind for each place in the shape. Of too many kinds, neighbours become one."""
    number = np.full(int(np.prod(shape)), NO_KIND, np.int32)
    places = np.stack(np.unravel_index(known, shape))
    for factors in range(1, max(shape) + 1):
        _, which = np.unique(places // factors, axis=1, return_inverse=True)
        if not len(known) or which.max() < most or factors == max(shape):
            number[known] = which.ravel()
            break
    return number


def _step(ratio: NDArray[np.float32], steps: int, middle: int) -> NDArray[np.intp]:
    """Return which factor of two a ratio is: 1 is in the middle."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.floor(np.log2(ratio)) + middle, 0, steps - 1).astype(np.intp))
