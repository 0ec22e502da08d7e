"""The linear programme, against the same by HiGHS; and the choice of whole mailboxes, against the best subset."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from bounds import least_bytes, least_level
from fleets import invented

from roost.balance.choice import leaving
from roost.balance.flow import flow
from roost.balance.kinds import NO_KIND, kinds


@pytest.mark.parametrize("seed", range(3))
def test_what_flows_meets_the_aims_for_about_the_least(seed: int) -> None:
    fleet = invented(2000, 5, seed, fullness=0.6, io=0.4, memory=0.3, disk=0.4)
    goal = np.array([0.605, 0.405, 0.605, 0.605])
    sorts = kinds(fleet, np.ones(2000, np.bool_), 0.0)
    found = flow(fleet.loads, goal * fleet.nodes.capacity, sorts, fleet.nodes.open)
    assert found.factor == pytest.approx(max(1.0, least_level(fleet, goal)), rel=0.01)
    # What must leave, beyond what comes, is what is above the aim.
    assert (found.arriving >= 0).all()
    assert (found.price >= 0).all()
    assert least_bytes(fleet, goal) > 0


def test_every_free_mailbox_has_a_kind_and_the_masses_add_up() -> None:
    fleet = invented(500, 3, 1)
    free = np.arange(500) % 3 > 0
    sorts = kinds(fleet, free, 1e6)
    assert ((sorts.of == NO_KIND) == ~free).all()
    taken = fleet.mailboxes.demand[free].sum(axis=0, dtype=np.float64)
    assert sorts.mass.sum(axis=0) @ sorts.mix == pytest.approx(taken, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_covers_and_is_near_the_best(seed: int) -> None:
    chance = np.random.default_rng(seed)
    taken, cost = chance.uniform(0, 1, (12, 2)), chance.uniform(0.1, 1, 12)
    excess = taken.sum(axis=0) * 0.3
    chosen = leaving(taken, cost, excess)
    assert (taken[chosen].sum(axis=0) >= excess - 1e-9).all()
    subsets = (list(some) for size in range(1, 13) for some in combinations(range(12), size))
    best = min(float(cost[some].sum()) for some in subsets if (taken[some].sum(axis=0) >= excess).all())
    assert cost[chosen].sum() <= 1.5 * best
