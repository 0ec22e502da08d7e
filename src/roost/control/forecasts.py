"""Which node is full when, from how full each was day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import isfinite

from roost.balance.forecast import LEAST_DAYS, Full, growth
from roost.balance.goals import RULES
from roost.control.balancer import days_of
from roost.domain.errors import Refused
from roost.domain.load import Dimension
from roost.ports.store import Store


@dataclass(frozen=True)
class Forecast:
    """Of one node and dimension: its level, how much it grows in a day, and in how many days it reaches ``limit``: at
    the earliest, likely, at the latest; None is never."""

    node: str
    dimension: Dimension
    level: float
    a_day: float
    limit: float
    earliest: float | None
    likely: float | None
    latest: float | None


def forecast(store: Store) -> list[Forecast]:
    """Return what is known of each node, that which is full first at the top; raises ``Refused`` for too few days."""
    days = days_of(store)
    by_node: dict[str, list[tuple[int, list[float]]]] = {}
    for day, levels in days.items():
        for node, row in levels.items():
            by_node.setdefault(node, []).append((date.fromisoformat(day).toordinal(), row))
    last = max((date.fromisoformat(day).toordinal() for day in days), default=0)
    found = [
        _of(node, dimension, rows)
        for node, rows in by_node.items()
        if len(rows) >= LEAST_DAYS and rows[-1][0] == last
        for dimension in Dimension
    ]
    if not found:
        raise Refused(
            f"A forecast needs figures of {LEAST_DAYS} days; there are {len(days)}.",
            field="days",
            remedy="One is noted each day; ask again later.",
        )
    return sorted(found, key=lambda one: (one.likely is None, one.likely or 0.0, -one.level))


def _of(node: str, dimension: Dimension, rows: list[tuple[int, list[float]]]) -> Forecast:
    grown = growth([day for day, _ in rows], [row[dimension] for _, row in rows])
    limit = RULES.disk if dimension is Dimension.DISK else 1.0
    full: Full = grown.full(limit)
    days = (round(one, 1) if isfinite(one) else None for one in (full.earliest, full.likely, full.latest))
    return Forecast(node, dimension, grown.level, grown.a_day, limit, *days)
