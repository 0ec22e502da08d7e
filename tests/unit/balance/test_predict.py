"""Peaks from rates; rubbish moves nobody."""

from __future__ import annotations

import numpy as np
import pytest

from roost.balance.fleet import Fleet, Mailboxes, Nodes
from roost.balance.plan import plan
from roost.balance.predict import HOURS, Rubbish, peaks
from roost.domain.errors import BadSetting
from roost.domain.load import Capacity

PATTERN = np.ones(HOURS)
PATTERN[10] = 3.0
MOST = np.full(4, 100.0)


def test_the_peak_is_that_of_the_busiest_hour() -> None:
    usual = np.ones((1, 4))
    assert peaks(usual, usual, PATTERN, 0, MOST).demand.tolist() == [[3.0, 3.0, 1.0, 1.0]]
    # In the busiest hour itself three times the usual is nothing new.
    assert peaks(usual, usual * [3, 3, 1, 1], PATTERN, 10, MOST).demand.tolist() == [[3.0, 3.0, 1.0, 1.0]]
    assert peaks(usual, 5 * usual, PATTERN, 0, MOST).demand.tolist() == [[4.0, 4.0, 2.0, 2.0]]


@pytest.mark.parametrize(
    ("figure", "reason"),
    [(np.nan, Rubbish.MISSING), (np.inf, Rubbish.MISSING), (-1.0, Rubbish.NEGATIVE), (1e9, Rubbish.ABSURD)],
)
def test_rubbish_is_refused_and_moves_nobody(figure: float, reason: Rubbish) -> None:
    usual = np.full((10, 4), 0.01)
    usual[3, 0] = figure
    found = peaks(usual, usual, PATTERN, 0, MOST)
    assert {key: value.tolist() for key, value in found.refused.items()} == {reason: [3]}
    assert (found.demand[3] == 0).all()
    nodes = Nodes.of(["ms1", "ms2"], [Capacity(1, 1, 1, 1)] * 2)
    boxes = Mailboxes.of([0] * 10, found.demand, [1] * 10, stays=found.stays)
    assert not plan(Fleet(nodes, boxes)).moves


def test_a_pattern_has_a_week() -> None:
    with pytest.raises(BadSetting, match="168"):
        peaks(np.ones((1, 4)), np.ones((1, 4)), np.ones(24), 0, MOST)
