"""Forecasts are honest, and what-if is a plan."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from fleets import invented

from roost.balance.forecast import growth, what_if
from roost.domain.errors import BadSetting, NotFound
from roost.domain.load import Capacity


def test_a_straight_line_is_sure() -> None:
    found = growth(range(10), [10 + 2 * day for day in range(10)])
    full = found.full(48)
    assert (round(full.earliest, 6), round(full.likely, 6), round(full.latest, 6)) == (10, 10, 10)
    assert found.full(5).likely == 0


def test_the_interval_holds_what_it_promises() -> None:
    """Also where neighbouring days are alike: the real growth is inside about nine times of ten."""
    inside = 0
    chance = np.random.default_rng(5)
    for _ in range(300):
        noise = np.zeros(40)
        for day in range(1, 40):
            noise[day] = 0.5 * noise[day - 1] + chance.normal()
        found = growth(range(40), 0.1 * np.arange(40) + noise)
        inside += abs(found.a_day - 0.1) <= found.off
    assert 0.8 < inside / 300 < 0.98


def test_no_growth_is_never() -> None:
    found = growth(range(8), [1, 1.1, 1, 0.9, 1, 1.1, 0.9, 1])
    assert found.full(9).latest == inf
    with pytest.raises(BadSetting, match="7 days"):
        growth([1, 2], [1, 2])


def test_what_two_more_would_do() -> None:
    fleet = invented(500, 3, 1, fullness=0.8)
    like = Capacity(*fleet.nodes.capacity[0])
    found = what_if(fleet, add=[("ms8", like), ("ms9", like)])
    assert found.after[:3].max() < found.before[:3].max()
    assert (found.fleet.mailboxes.home >= 3).any()
    gone = what_if(invented(500, 3, 1, fullness=0.4), remove=["ms1"])
    assert not (gone.fleet.mailboxes.home == 0).any()
    with pytest.raises(NotFound, match="ms7"):
        what_if(fleet, remove=["ms7"])
