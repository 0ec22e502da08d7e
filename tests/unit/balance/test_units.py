"""What moves as one, and where the rest of its group is."""

from __future__ import annotations

import numpy as np
from fleets import invented

from roost.balance.fleet import NONE, Fleet, Mailboxes, Nodes
from roost.balance.misplaced import misplaced
from roost.balance.units import units
from roost.domain.load import Capacity


def test_a_scattered_group_is_not_free() -> None:
    """Its parts are units of their own nodes, and belong where most of it lives."""
    nodes = Nodes.of(["ms1", "ms2", "ms3"], [Capacity(1, 1, 1, 1)] * 3)
    home, together = [0, 0, 1, 2, 0, 1, 2, 1], [0, 1, 1, 1, 2, 3, 3, NONE]
    fleet = Fleet(nodes, Mailboxes.of(home, np.zeros((8, 4)), [1] * 8, together=together))
    seats = misplaced(fleet).seats
    found = units(fleet, np.arange(8), seats)
    assert found.home.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert found.first.tolist() == [0, 1, 4, 7, 2, 5, 3, 6]
    assert found.group.tolist() == [0, 1, 2, NONE, 1, 3, 1, 3]
    assert seats.tolist() == [NONE, 0, NONE, 1]
    assert found.free.tolist() == [True, False, True, True, False, False, False, False]


def test_units_are_all_mailboxes_once_and_add_up() -> None:
    fleet = invented(300, 4, 1, groups=True)
    found = units(fleet, np.arange(300), misplaced(fleet).seats)
    assert sorted(found.members.tolist()) == list(range(300))
    which = np.arange(len(found))[::-2]
    assert found.all_of(which).tolist() == [number for unit in which for number in found.of(unit)]
    for unit in range(len(found)):
        members = found.of(unit)
        assert (fleet.mailboxes.home[members] == found.home[unit]).all()
        assert np.allclose(found.demand[unit], fleet.mailboxes.demand[members].sum(axis=0, dtype=np.float64))
        assert found.bytes[unit] == fleet.mailboxes.size[members].sum()
