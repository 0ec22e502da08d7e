"""Which node is full when; and what other machines would do.

A forecast is a straight line through the daily peaks, with the interval in which the real growth lies nine times of
ten. Peaks of neighbouring days resemble each other, which makes a line look surer than it is; the interval is widened
for that. Where growth may as well be nothing, the answer has no latest day: "not before March, perhaps never".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np

from roost.balance.fleet import Fleet, Floats, State
from roost.balance.goals import RULES, Rules
from roost.balance.moves import Budget, Plan
from roost.balance.plan import UNLIMITED, plan
from roost.domain.errors import BadSetting, NotFound
from roost.domain.load import Capacity

LEAST_DAYS = 7
_SURE = 1.645
"""Nine times of ten, for a normal spread."""


@dataclass(frozen=True)
class Growth:
    """A line through daily figures: the level on the last day, its growth a day, and how far that may be off."""

    level: float
    a_day: float
    off: float
    """Nine times of ten the real growth is within so much of ``a_day``."""

    def full(self, limit: float) -> Full:
        """Return in how many days the limit is reached."""
        if self.level >= limit:
            return Full(0, 0, 0)
        left = limit - self.level
        slopes = (self.a_day + self.off, self.a_day, self.a_day - self.off)
        early, likely, late = (left / slope if slope > 0 else inf for slope in slopes)
        return Full(early, likely, late)


@dataclass(frozen=True)
class Full:
    """Days until something is full: at the earliest, likely, at the latest; infinite is never."""

    earliest: float
    likely: float
    latest: float


def growth(days: Sequence[float], figures: Sequence[float]) -> Growth:
    """Return the line through figures of these days. Raises ``BadSetting`` for too few days to say anything."""
    at, told = np.asarray(days, np.float64), np.asarray(figures, np.float64)
    if len(at) < LEAST_DAYS or len(told) != len(at) or not (np.isfinite(at) & np.isfinite(told)).all():
        raise BadSetting(
            f"A forecast needs figures of {LEAST_DAYS} days; there are {len(at)}.",
            field="days",
            remedy="Wait until there are more.",
        )
    middle = at - at.mean()
    width = float(middle @ middle)
    if width == 0:
        raise BadSetting("All figures are of one day.", field="days")
    slope = float(middle @ told) / width
    off = told - told.mean() - slope * middle
    spread = sqrt(float(off @ off) / (len(at) - 2) / width)
    # What a day has in common with the one before, as a part.
    alike = float(off[1:] @ off[:-1]) / float(off @ off) if off.any() else 0.0
    alike = min(max(alike, 0.0), 0.9)
    spread *= sqrt((1 + alike) / (1 - alike))
    # Few days are less sure than the normal spread has it (Student's t, to the second order).
    free = len(at) - 2
    sure = _SURE + (_SURE**3 + _SURE) / (4 * free)
    return Growth(float(told.mean() + slope * middle[-1]), slope, sure * spread)


def what_if(
    fleet: Fleet,
    *,
    add: Sequence[tuple[str, Capacity]] = (),
    remove: Sequence[str] = (),
    budget: Budget = UNLIMITED,
    rules: Rules = RULES,
) -> Plan:
    """Return the plan for the fleet with these nodes more and without those; its picture is the answer.

    Raises ``NotFound`` for a node that is not there, and ``BadSetting`` for one that would be there twice.
    """
    nodes = fleet.nodes
    for name in remove:
        if name not in nodes.names:
            raise NotFound(f"There is no storage node {name}.", field="remove", remedy="See 'roost node list'.")
    names = (*nodes.names, *(name for name, _ in add))
    if len(set(names)) != len(names):
        raise BadSetting("A node that is added has the name of another.", field="add")
    more = np.array([one.row for _, one in add]).reshape(len(add), nodes.capacity.shape[1])

    def grown(rows: Floats, new: Floats) -> Floats:
        return np.concatenate([rows, new])

    state = nodes.state.copy()
    state[[nodes.names.index(name) for name in remove]] = State.DRAINED
    changed = replace(
        nodes,
        names=names,
        capacity=grown(nodes.capacity, more),
        base=grown(nodes.base, np.zeros_like(more)),
        state=np.append(state, np.zeros(len(add), np.int8)).astype(np.int8),
        classes=np.append(nodes.classes, np.full(len(add), 0xFFFF_FFFF, np.uint32)).astype(np.uint32),
        kept=grown(nodes.kept, np.zeros(len(add))),
    )
    return plan(Fleet(changed, fleet.mailboxes), budget, rules)
