"""Where a new mailbox gets its home: on the node that stays emptiest, among those that may have it and have room.

What is weighed is every dimension, each node's own capacity and load; so a fast machine gets more, and one with
a full disk nobody. What was placed counts at once, so many in a row spread. The state is read once; placing one
then costs some arithmetic for each node, however many mailboxes there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roost.balance.fleet import NONE, Flags, Fleet, Floats
from roost.balance.goals import RULES, Rules
from roost.domain.errors import NotFound, Refused
from roost.domain.load import Dimension


@dataclass(frozen=True)
class Newcomer:
    """A mailbox that has no home yet: what it is expected to take, and the rules for it, as in ``Mailboxes``."""

    demand: tuple[float, float, float, float]
    together: int = NONE
    apart: int = NONE
    classes: int = 0
    pin: int = NONE


@dataclass(frozen=True)
class Placed:
    """The home, and why, in a sentence."""

    node: int
    reason: str


class Placer:
    """Hands out homes, and remembers what it has handed out."""

    def __init__(self, fleet: Fleet, rules: Rules = RULES) -> None:
        self._nodes, self._rules = fleet.nodes, rules
        self._loads: Floats = fleet.loads.copy()
        boxes = fleet.mailboxes
        grouped, kept = np.flatnonzero(boxes.together != NONE), np.flatnonzero(boxes.apart != NONE)
        self._groups = dict(zip(boxes.together[grouped].tolist(), boxes.home[grouped].tolist(), strict=True))
        self._apart: dict[int, set[int]] = {}
        for group, home in zip(boxes.apart[kept].tolist(), boxes.home[kept].tolist(), strict=True):
            self._apart.setdefault(group, set()).add(home)

    def place(self, newcomer: Newcomer) -> Placed:
        """Return the home; raises ``Refused`` that says which rule or which dimension leaves no node."""
        nodes = self._nodes
        after = (self._loads + np.array(newcomer.demand)) / nodes.capacity
        fits = nodes.open.copy()
        _check(fits, "No storage node takes mailboxes now.", "Add one with 'roost node add', or undrain one.")
        fits &= (newcomer.classes & ~nodes.classes) == 0
        _check(fits, "No open node offers its class of service.", "Let a node offer it.")
        why = ""
        only = newcomer.pin if newcomer.pin != NONE else self._groups.get(newcomer.together, NONE)
        if only != NONE:
            if only >= len(nodes):
                raise NotFound(f"There is no node number {only}.", field="pin")
            here = np.arange(len(nodes)) == only
            why = "it is pinned there" if newcomer.pin != NONE else "its group lives there"
            fits &= here
            _check(fits, f"It belongs on {nodes.names[only]}, which may not take it.", "Move its group or pin.")
        taken = list(self._apart.get(newcomer.apart, ()))
        fits[taken] = False
        _check(fits, "On every node lives one whom it is kept apart from.", "Add a node, or leave it out.")
        for dimension in Dimension:
            limit = self._rules.disk if dimension is Dimension.DISK else 1.0
            level = after[:, dimension]
            if dimension is Dimension.DISK:
                level = level + nodes.kept / nodes.capacity[:, dimension]
            fits &= (level <= limit) | (newcomer.demand[dimension] <= 0)
            _check(fits, f"No node that may have it has {dimension.word} left.", "Add a node, or balance.")
        node = int(np.argmin(np.where(fits, after.max(axis=1), np.inf)))
        self._take(newcomer, node)
        fullest = Dimension(int(np.argmax(after[node])))
        why = why or f"it stays the emptiest: its {fullest.word} is at {100 * after[node, fullest]:.0f} %"
        return Placed(node, f"{nodes.names[node]}: {why}.")

    def _take(self, newcomer: Newcomer, node: int) -> None:
        self._loads[node] += newcomer.demand
        if newcomer.together != NONE:
            self._groups.setdefault(newcomer.together, node)
        if newcomer.apart != NONE:
            self._apart.setdefault(newcomer.apart, set()).add(node)


def _check(fits: Flags, refusal: str, remedy: str) -> None:
    """Refuse where no node is left."""
    if not fits.any():
        raise Refused(refusal, field="home", remedy=remedy)
