"""From slots of two hours to a week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from roost.balance.habits import hour_of, week_of
from roost.domain.usage import slot_of

MORNINGS = "0000" + "9" + "0" * 7 + "0" * 12


def test_every_hour_has_the_slot_that_mailboxes_count_in() -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    for hour in range(168):
        slots = ["0"] * 24
        slots[slot_of((monday + timedelta(hours=hour)).timestamp())] = "9"
        week = week_of(["".join(slots)], np.ones(1))
        assert week[hour] == week.max() > 0
        assert hour_of(monday + timedelta(hours=hour)) == hour


def test_it_is_the_mean_weighed_by_work_and_its_mean_is_one() -> None:
    week = week_of(["9" * 24, MORNINGS, ""], np.array([1.0, 0.2, 50.0]))
    assert week.mean() == pytest.approx(1)
    assert week[8] == week[9] == week.max()
    assert week[8] > 2 * week[7]


def test_where_nothing_is_known_it_is_flat() -> None:
    for patterns, work in ([[], []], [[""], [1.0]], [["0" * 24], [1.0]], [[MORNINGS], [0.0]]):
        assert (week_of(patterns, np.array(work)) == 1).all()


def test_few_mailboxes_chance_is_no_habit() -> None:
    week = week_of([MORNINGS], np.ones(1))
    assert week.max() < 7
    assert week.mean() == pytest.approx(1)
