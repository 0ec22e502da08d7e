"""What mailboxes take and machines have: four dimensions, in the same units everywhere.

==========  =====================================================================
cpu         seconds of a reference processor in each second; a node with 8 of it
            serves eight such seconds at once, a fast one counts for more
io          operations of the disk in each second
memory      bytes
disk        bytes
==========  =====================================================================

A figure is a *peak*: what is taken in the busiest hour of a week, not on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from roost.domain.errors import BadSetting


class Dimension(IntEnum):
    """What can run out; the value is the column in arrays of loads and capacities."""

    CPU = 0
    IO = 1
    MEMORY = 2
    DISK = 3

    @property
    def word(self) -> str:
        """Return what a sentence calls it: "its processor is full"."""
        return ("processor", "disk operations", "memory", "disk space")[self]


@dataclass(frozen=True)
class Capacity:
    """What a node has of each dimension: measured or declared. Raises ``BadSetting`` for what no machine has."""

    cpu: float
    io: float
    memory: float
    disk: float

    def __post_init__(self) -> None:
        """Check that every figure is a positive number."""
        for dimension, value in zip(Dimension, self.row, strict=True):
            if not (math.isfinite(value) and value > 0):
                name = dimension.name.lower()
                raise BadSetting(
                    f"A node cannot have {value:g} of {name}.",
                    field=name,
                    remedy="Declare what it has, or let it be measured.",
                )

    @property
    def row(self) -> tuple[float, float, float, float]:
        """Return it in the order of ``Dimension``."""
        return (self.cpu, self.io, self.memory, self.disk)
