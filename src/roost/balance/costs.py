"""What mailboxes cost a node: learned from the nodes' own minutes, beside what their mailboxes did in them.

Works
    What is counted of mailboxes and costs something: a login, a delivery, a megabyte that goes in or out, an hour
    that a session is open. Each has a cost in seconds of a reference processor and in operations of the disk.
    Processor time that is known of a mailbox itself comes on top: a login's cost here is what nobody has told of it
    (TLS, the password, the kernel).

Learning
    In a minute of a node, ``what its machine did = its base + works · costs``. The base is the node's own, the costs
    are those of all. Fitted by least squares with two kinds of caution. Each cost is expected to be what was measured
    once on a machine of ours (``PRIOR``), give or take as much again; the minutes must say better, and few, noisy or
    steady ones cannot (ridge). And minutes that are far off, when something else was going on, count little
    (Huber's weights). No cost is below nothing or above ``MOST`` times what is expected.

    Figures that cannot be are left out before. With nothing to learn from, the costs are the expected ones, and the
    bases nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roost.balance.fleet import Floats, Numbers, Peaks
from roost.domain.load import Dimension

WORKS = ("login", "delivery", "megabyte", "hour")

SESSION = 3e6
"""Bytes of memory for an open session: a process of its own, without what it shares with others."""

LEAST_MINUTES = 30
MOST = 30.0
_ALIKE = 5
"""Neighbouring minutes resemble each other: so many are worth one."""

_TURNS, _SWEEPS = 12, 60
_FAR = 1.5
_MAD = 1.4826
"""From the median of what is off to a normal spread."""

_FINEST = 1e-3
"""Nobody measures better than by such a part."""


@dataclass(frozen=True)
class Costs:
    """Of each work, in the order of ``WORKS``; ``minutes`` is from how many they were learned, 0 if from none."""

    cpu: tuple[float, float, float, float]
    """Seconds of a reference processor, besides what the mailbox's own processes took."""

    io: tuple[float, float, float, float]
    """Operations of the disk."""

    minutes: int = 0


PRIOR = Costs(cpu=(4e-3, 5e-3, 5e-3, 2e-2), io=(2.0, 10.0, 8.0, 2.0))
"""A login by TLS takes 5.5 to 5.8 ms in all (docs/decisions/0030-usage.md); the rest is of that order."""


@dataclass(frozen=True)
class Minutes:
    """Minutes of nodes, a row each."""

    node: Numbers
    cpu: Floats
    """Reference processors that were busy, without what the mailboxes' own processes took."""

    io: Floats
    """Operations of the disk a second."""

    works: Floats
    """Of all mailboxes, a second (minutes × works)."""


@dataclass(frozen=True)
class Learned:
    """The costs, and what each node does besides (nodes × 2: processor and disk operations)."""

    costs: Costs
    base: Floats


def works_of(rates: Floats | Peaks) -> Floats:
    """Return the works of rates, whose columns are those of ``roost.domain.usage.Counts``."""
    logins, deliveries, bytes_in, bytes_out, connected = rates.T[:5].astype(np.float64)
    return np.stack([logins, deliveries, (bytes_in + bytes_out) / 1e6, connected / 3600], axis=1)


def demand(rates: Floats | Peaks, size: Floats, speed: Floats, costs: Costs) -> Floats:
    """Return what mailboxes with these rates take (mailboxes × dimensions).

    ``speed`` is how fast a processor of each mailbox's home is: what it counted of the mailbox's own processes is so
    many seconds of a reference processor.
    """
    works = works_of(rates)
    found = np.empty((len(rates), len(Dimension)))
    found[:, Dimension.CPU] = rates[:, 5] * speed + works @ np.array(costs.cpu)
    found[:, Dimension.IO] = works @ np.array(costs.io)
    found[:, Dimension.MEMORY] = rates[:, 4] * SESSION
    found[:, Dimension.DISK] = size
    return found


def learn(minutes: Minutes, nodes: int) -> Learned:
    """Return the costs that these minutes show, and the bases of so many nodes."""
    good = (
        np.isfinite(minutes.works).all(axis=1)
        & np.isfinite(minutes.cpu)
        & np.isfinite(minutes.io)
        & (minutes.works >= 0).all(axis=1)
        & (minutes.cpu >= 0)
        & (minutes.io >= 0)
    )
    node, works = minutes.node[good], minutes.works[good]
    count = int(good.sum())
    found, bases = [], []
    for told, prior in ((minutes.cpu[good], PRIOR.cpu), (minutes.io[good], PRIOR.io)):
        expected = np.array(prior)
        times = _fitted(told, works * expected, node, nodes) if count >= LEAST_MINUTES else np.ones(len(WORKS))
        costs = times * expected
        found.append(costs.tolist())
        bases.append(np.maximum(_medians(told - works @ costs, node, nodes), 0))
    costs = Costs(cpu=tuple(found[0]), io=tuple(found[1]), minutes=count if count >= LEAST_MINUTES else 0)
    return Learned(costs, np.stack(bases, axis=1))


def _fitted(told: Floats, expected: Floats, node: Numbers, nodes: int) -> Floats:
    """Return how many times the expected cost each work has."""
    times = np.ones(expected.shape[1])
    off = told - expected @ times
    off = off - _medians(off, node, nodes)[node]
    for _ in range(_TURNS):
        spread = max(_MAD * float(np.median(np.abs(off))), _FINEST * float(np.median(told)), 1e-12)
        weight = np.minimum(1.0, _FAR * spread / np.maximum(np.abs(off), 1e-300))
        sums = np.maximum(np.bincount(node, weight, nodes), 1e-300)
        y = told - (np.bincount(node, weight * told, nodes) / sums)[node]
        columns = [np.bincount(node, weight * column, nodes) / sums for column in expected.T]
        x = expected - np.stack(columns, axis=1)[node]
        sure = weight / (spread**2 * _ALIKE)
        times = _bounded((x.T * sure) @ x + np.eye(len(times)), (x.T * sure) @ y + 1, times)
        off = y - x @ times
    return times


def _bounded(square: Floats, right: Floats, start: Floats) -> Floats:
    """Return what comes nearest to solving ``square · times = right`` from 0 to ``MOST``, one after the other."""
    times = start.copy()
    for _ in range(_SWEEPS):
        for one in range(len(times)):
            rest = right[one] - square[one] @ times + square[one, one] * times[one]
            times[one] = min(max(rest / square[one, one], 0.0), MOST)
    return times


def _medians(values: Floats, node: NDArray[np.int32], nodes: int) -> Floats:
    """Return the median for each node, 0 where it has none."""
    order = np.argsort(node, kind="stable")
    ends = np.searchsorted(node[order], np.arange(nodes + 1))
    parts = [values[order[ends[n] : ends[n + 1]]] for n in range(nodes)]
    return np.array([float(np.median(part)) if len(part) else 0.0 for part in parts])
