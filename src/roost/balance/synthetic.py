"""Invented load: users who differ by orders of magnitude, a week with days and nights, unequal nodes.

The numbers are of the size that providers have: a login costs some milliseconds of a processor, a mailbox has some
hundred megabytes. What matters for balancing is the shape: of those who look for mail every 30 seconds and those who
do so once a day there are as many in each factor of two (Zipf's law with exponent 1), and sizes are log-normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roost.balance.fleet import Bytes, Floats, Nodes, Numbers, Peaks
from roost.balance.predict import HOURS
from roost.domain.load import Capacity, Dimension

MOST_LOGINS = 2880
"""A day: every 30 seconds."""

_CPU_A_LOGIN = 3e-3
_IO_A_LOGIN = 4.0
_DAY = 86_400
_MEMORY = 1e6


@dataclass(frozen=True)
class Users:
    """What users take, usually: rates without the pattern of the week. Rows are mailboxes."""

    usual: Peaks
    size: Bytes
    logins: Peaks


def users(count: int, chance: np.random.Generator) -> Users:
    """Invent users."""
    logins = np.exp(chance.uniform(0, np.log(MOST_LOGINS), count)).astype(np.float32)
    size = chance.lognormal(18.5, 1.5, count).astype(np.int64)
    return Users(taken(logins, size, chance), size, logins)


def taken(logins: Peaks, size: Bytes, chance: np.random.Generator) -> Peaks:
    """Return what mailboxes with so many logins and bytes usually take, no two quite alike."""
    usual = np.empty((len(logins), len(Dimension)), np.float32)
    usual[:, Dimension.CPU] = logins * _CPU_A_LOGIN / _DAY * chance.lognormal(0, 0.3, len(logins))
    usual[:, Dimension.IO] = logins * _IO_A_LOGIN / _DAY * chance.lognormal(0, 0.3, len(logins))
    usual[:, Dimension.MEMORY] = _MEMORY + 3e-4 * size
    usual[:, Dimension.DISK] = size
    return usual


def week() -> Floats:
    """Return the factors of the 168 hours: quiet nights, two humps a day, less on Saturday and Sunday; mean 1."""
    hour = np.arange(HOURS) % 24
    day = 0.3 + np.exp(-(((hour - 10) / 2.5) ** 2)) + 0.8 * np.exp(-(((hour - 20) / 2.5) ** 2))
    factors = day * np.where(np.arange(HOURS) // 24 < 5, 1.0, 0.7)
    return np.asarray(factors / factors.mean())


def nodes(
    count: int,
    total: Floats,
    fullness: float,
    fast: float,
    chance: np.random.Generator,
    *,
    others: tuple[float, float, float] = (1 / 2, 2 / 3, 2 / 3),
) -> Nodes:
    """Return nodes whose processors would together be so full of this load at its peak; a part of them is twice as
    fast. ``others`` is how full the other dimensions would be, as parts of that: usually they are roomier."""
    speed = np.where(chance.random(count) < fast, 2.0, 1.0)
    capacity = np.ones((count, len(Dimension)))
    capacity[:, Dimension.CPU] = capacity[:, Dimension.IO] = speed
    capacity *= total / capacity.sum(axis=0) / (fullness * np.array([1, *others]))
    return Nodes.of([f"ms{number + 1}" for number in range(count)], [Capacity(*row) for row in capacity.tolist()])


def in_turn(count: int, among: int) -> Numbers:
    """Return homes as round robin hands them out."""
    return np.asarray(np.arange(count) % among, dtype=np.int32)
