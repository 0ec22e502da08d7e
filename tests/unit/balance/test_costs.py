"""Costs are learned from minutes of nodes whose true costs are known."""

from __future__ import annotations

import numpy as np
import pytest

from roost.balance.costs import MOST, PRIOR, WORKS, Costs, Learned, Minutes, demand, learn, works_of
from roost.balance.fleet import Floats

TRUE = Costs(cpu=(9e-3, 2e-3, 1.2e-2, 5e-2), io=(5.0, 30.0, 2.0, 1.0))
BASE = np.array([[0.2, 40.0], [0.05, 5.0], [1.0, 200.0]])


def _minutes(seed: int = 1, count: int = 1440, *, noise: float = 0.05, steady: bool = False) -> Minutes:
    """A day of three nodes."""
    chance = np.random.default_rng(seed)
    node = np.repeat(np.arange(3, dtype=np.int32), count)
    day = 1 + 0.8 * np.sin(np.tile(np.arange(count), 3) / count * 2 * np.pi)
    works = np.array([40.0, 4.0, 6.0, 0.5]) * (np.ones_like(day) if steady else day)[:, None]
    if not steady:
        works = works * chance.lognormal(0, 0.3, works.shape)
    told = [
        (works @ np.array(cost) + BASE[node, place]) * chance.lognormal(0, noise, len(node))
        for place, cost in enumerate((TRUE.cpu, TRUE.io))
    ]
    return Minutes(node, told[0], told[1], works)


def _near(found: Learned, within: float) -> None:
    assert found.costs.cpu == pytest.approx(TRUE.cpu, rel=within)
    assert found.costs.io == pytest.approx(TRUE.io, rel=within)


def test_a_day_of_three_nodes_shows_the_costs() -> None:
    found = learn(_minutes(), 3)
    assert found.costs.minutes == 3 * 1440
    assert found.costs.cpu[0] == pytest.approx(TRUE.cpu[0], rel=0.1)
    assert found.costs.io[:2] == pytest.approx(TRUE.io[:2], rel=0.15)
    assert found.base == pytest.approx(BASE, rel=0.25, abs=0.05)
    works = np.array([40.0, 4.0, 6.0, 0.5])
    assert works @ np.array(found.costs.cpu) == pytest.approx(works @ np.array(TRUE.cpu), rel=0.05)


def test_without_noise_they_are_exact() -> None:
    _near(learn(_minutes(noise=0.0), 3), 0.02)


def test_rubbish_does_not_bend_them() -> None:
    minutes, chance = _minutes(), np.random.default_rng(2)
    cpu, io, works = minutes.cpu.copy(), minutes.io.copy(), minutes.works.copy()
    wild = chance.random(len(cpu)) < 0.1
    cpu[wild] *= chance.uniform(0, 50, wild.sum())
    io[wild] = 1e9
    cpu[:20], io[20:40], works[40:60] = np.nan, -5.0, np.inf
    found = learn(Minutes(minutes.node, cpu, io, works), 3)
    good = learn(minutes, 3)
    sum_of: Floats = np.array([40.0, 4.0, 6.0, 0.5])
    for bent, straight in ((found.costs.cpu, good.costs.cpu), (found.costs.io, good.costs.io)):
        assert sum_of @ np.array(bent) == pytest.approx(sum_of @ np.array(straight), rel=0.1)
    assert (found.base >= 0).all()


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_little_says_nothing(count: int) -> None:
    found = learn(_minutes(count=count), 3)
    assert (found.costs.cpu, found.costs.io, found.costs.minutes) == (PRIOR.cpu, PRIOR.io, 0)
    assert (found.base >= 0).all()


def test_what_is_always_the_same_says_nothing_of_costs() -> None:
    found = learn(_minutes(steady=True), 3)
    assert found.costs.cpu == pytest.approx(PRIOR.cpu, rel=0.05)


def test_no_cost_is_negative_or_absurd() -> None:
    minutes = _minutes()
    backwards = Minutes(minutes.node, minutes.cpu.max() - minutes.cpu, minutes.io * 1e6, minutes.works)
    costs = learn(backwards, 3).costs
    assert min(*costs.cpu, *costs.io) >= 0
    assert all(cost <= MOST * prior * 1.001 for cost, prior in zip(costs.io, PRIOR.io, strict=True))


def test_a_mailbox_takes_its_own_time_and_what_its_works_cost() -> None:
    rates = np.array([[1 / 30, 0, 5e5, 5e5, 2.0, 0.01]])
    assert works_of(rates).tolist() == [[1 / 30, 0, 1, 2 / 3600]]
    found = demand(rates, np.array([7e6]), np.array([2.0]), TRUE)[0]
    assert found[0] == pytest.approx(0.02 + 9e-3 / 30 + 1.2e-2 + 5e-2 * 2 / 3600)
    assert found[3] == 7e6
    assert len(WORKS) == 4
