"""The state that everything here decides on: nodes and mailboxes as arrays, so that ten million of them fit.

Mailboxes are numbered from 0, nodes too; a plan speaks in these numbers, and whoever made the fleet knows what they
stand for. Columns are those of ``Dimension``. A fleet is never changed: ``moved`` gives another one.

Memory: 45 bytes for each mailbox, and 16 more for what is given besides (affinity, classes and so on); an array
that says the same of all mailboxes takes nothing (``same``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roost.domain.errors import BadSetting
from roost.domain.load import Capacity, Dimension

Floats = NDArray[np.float64]
Peaks = NDArray[np.float32]
Numbers = NDArray[np.int32]
Bytes = NDArray[np.int64]
Flags = NDArray[np.bool_]
Masks = NDArray[np.uint32]

NONE = -1
"""In an array of numbers: no group, no pin."""

EVERY_CLASS = 0xFFFF_FFFF
"""Every class of service, as a mask of bits."""

CHUNK = 1 << 18
"""Mailboxes that are worked on at once, where a whole array of them would take much memory."""


class State(IntEnum):
    """What a node has to do with moves."""

    OPEN = 0
    """Gives and takes."""

    CLOSED = 1
    """Neither: it is away, or being worked on. What it has stays."""

    DRAINED = 2
    """Takes nothing, and all that it has must leave."""


@dataclass(frozen=True)
class Nodes:
    """The storage nodes, one row each. ``of`` makes it from a few words."""

    names: tuple[str, ...]
    capacity: Floats
    """What each has (nodes × dimensions)."""

    base: Floats
    """What is taken there by other things than mailboxes (nodes × dimensions)."""

    state: NDArray[np.int8]
    """A ``State`` each."""

    classes: Masks
    """The classes of service that it offers, a bit each."""

    kept: Floats
    """Bytes of mailboxes that have left, whose copies go by themselves after some days. They fill the disk for now,
    but no move need make room because of them."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        capacity: Sequence[Capacity],
        *,
        base: Floats | None = None,
        state: Sequence[State] | None = None,
        classes: Sequence[int] | None = None,
    ) -> Nodes:
        """Return nodes; what is not given is nothing, open, and every class."""
        count = len(names)
        rows = np.array([one.row for one in capacity], dtype=np.float64).reshape(count, len(Dimension))
        return cls(
            names=tuple(names),
            capacity=rows,
            base=np.zeros_like(rows) if base is None else np.asarray(base, dtype=np.float64),
            state=np.array(state if state is not None else [State.OPEN] * count, dtype=np.int8),
            classes=np.array(classes if classes is not None else [EVERY_CLASS] * count, dtype=np.uint32),
            kept=np.zeros(count),
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def open(self) -> Flags:
        """Say which take mailboxes."""
        return np.asarray(self.state == State.OPEN)


@dataclass(frozen=True)
class Mailboxes:
    """The mailboxes, one row each; only the first three must be given, see ``of``."""

    home: Numbers
    """The node on which each lives."""

    demand: Peaks
    """The predicted peak in each dimension (mailboxes × dimensions)."""

    size: Bytes
    """Bytes that a move of it copies."""

    together: Numbers
    """Affinity: those with one number live on one node, and move together or not at all."""

    apart: Numbers
    """Anti-affinity: of those with one number no two live on one node."""

    classes: Masks
    """Classes of service that its node must offer, a bit each."""

    pin: Numbers
    """The only node on which it may live."""

    stays: Flags
    """Not to be moved for balance: it was moved lately, or what is known of it is not to be trusted."""

    logins: Peaks
    """Logins a day, for the reasons only; not a number where nobody knows."""

    @classmethod
    def of(
        cls,
        home: Any,
        demand: Any,
        size: Any,
        *,
        together: Any = None,
        apart: Any = None,
        classes: Any = None,
        pin: Any = None,
        stays: Any = None,
        logins: Any = None,
    ) -> Mailboxes:
        """Return mailboxes from anything that numpy takes; what is not given is the same for all."""
        count = len(home)

        def array(given: Any, otherwise: object, kind: type[np.generic]) -> NDArray[Any]:
            return same(otherwise, count, kind) if given is None else np.asarray(given, dtype=kind)

        return cls(
            home=np.asarray(home, dtype=np.int32),
            demand=np.asarray(demand, dtype=np.float32).reshape(count, len(Dimension)),
            size=np.asarray(size, dtype=np.int64),
            together=array(together, NONE, np.int32),
            apart=array(apart, NONE, np.int32),
            classes=array(classes, 0, np.uint32),
            pin=array(pin, NONE, np.int32),
            stays=array(stays, 0, np.bool_),
            logins=array(logins, np.nan, np.float32),
        )

    def __len__(self) -> int:
        return len(self.home)


@dataclass(frozen=True)
class Fleet:
    """Nodes and mailboxes. Raises ``BadSetting`` where they do not fit each other or a figure is impossible."""

    nodes: Nodes
    mailboxes: Mailboxes
    loads: Floats = field(init=False, repr=False, compare=False)
    """What is taken on each node, of mailboxes and others (nodes × dimensions)."""

    def __post_init__(self) -> None:
        """Check the figures, and add them up."""
        _check(self.nodes, self.mailboxes)
        object.__setattr__(self, "loads", _loads(self.nodes, self.mailboxes))

    @property
    def levels(self) -> Floats:
        """Return how full each node is: 1 is all that it has (nodes × dimensions)."""
        return self.loads / self.nodes.capacity

    def moved(self, numbers: Iterable[int], targets: Iterable[int]) -> Fleet:
        """Return the fleet after these mailboxes have moved: they stay where they are now, and their old homes keep
        a copy for a while."""
        which = np.fromiter(numbers, dtype=np.int64)
        to = np.fromiter(targets, dtype=np.int32, count=len(which))
        boxes = self.mailboxes
        home, stays = boxes.home.copy(), boxes.stays.copy()
        kept = self.nodes.kept.copy()
        np.add.at(kept, home[which], boxes.demand[which, Dimension.DISK])
        home[which], stays[which] = to, True
        return Fleet(replace(self.nodes, kept=kept), replace(boxes, home=home, stays=stays))


def same(value: object, count: int, kind: type[np.generic]) -> NDArray[Any]:
    """Return an array that says the same of all, and takes no memory for it."""
    return np.broadcast_to(np.array(value, dtype=kind), (count,))


def in_chunks(count: int) -> Iterable[slice]:
    """Yield slices that cover so many mailboxes."""
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def _loads(nodes: Nodes, boxes: Mailboxes) -> Floats:
    """Return the sums for each node; in chunks, because numpy adds up in float64 copies."""
    loads = nodes.base.copy()
    for part in in_chunks(len(boxes)):
        for dimension in Dimension:
            loads[:, dimension] += np.bincount(
                boxes.home[part], weights=boxes.demand[part, dimension], minlength=len(nodes)
            )
    return loads


def _check(nodes: Nodes, boxes: Mailboxes) -> None:
    if not len(nodes):
        raise BadSetting("There is no storage node.", field="nodes", remedy="Add one with 'roost node add'.")
    for name, rows in (("capacity", nodes.capacity), ("base", nodes.base)):
        if rows.shape != (len(nodes), len(Dimension)) or not np.isfinite(rows).all() or (rows < 0).any():
            raise BadSetting(f"The {name} of nodes must be positive figures in every dimension.", field=name)
    if not (nodes.capacity > 0).all():
        raise BadSetting("Every node must have some of every dimension.", field="capacity")
    for column in fields(boxes):
        if len(getattr(boxes, column.name)) != len(boxes):
            raise BadSetting(f"There are {len(boxes)} mailboxes, but not as many figures.", field=column.name)
    for name, numbers in (("home", boxes.home), ("pin", boxes.pin)):
        if len(boxes) and (numbers.max() >= len(nodes) or numbers.min() < (0 if name == "home" else NONE)):
            raise BadSetting(f"A mailbox has a {name} that is no node.", field=name)
    for part in in_chunks(len(boxes)):
        peaks = boxes.demand[part]
        if not np.isfinite(peaks).all() or (peaks < 0).any() or (boxes.size[part] < 0).any():
            raise BadSetting(
                "A mailbox has a demand or a size that is negative or no number.",
                field="demand",
                remedy="Let predict.peaks refuse what was measured wrongly.",
            )
