"""Where newcomers go, and what is said where they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleets import invented

from roost.balance.fleet import Fleet, Mailboxes, Nodes, State
from roost.balance.place import Newcomer, Placer
from roost.domain.errors import Refused
from roost.domain.load import Capacity, Dimension

SMALL = (0.01, 0.01, 0.01, 0.01)


def fleet(*capacity: float, states: list[State] | None = None, **rules: object) -> Fleet:
    names = [f"ms{number + 1}" for number in range(len(capacity))]
    nodes = Nodes.of(names, [Capacity(c, c, c, c) for c in capacity], state=states)
    return Fleet(nodes, Mailboxes.of([0], [SMALL], [1], **rules))


def test_many_in_a_row_spread_by_capacity() -> None:
    placer = Placer(fleet(1, 2, 1))
    homes = [placer.place(Newcomer(SMALL)).node for _ in range(100)]
    assert np.allclose(np.bincount(homes), [25, 50, 25], atol=1)


def test_a_full_disk_gets_no_one_and_kept_copies_count() -> None:
    start = fleet(1, 1)
    full = Fleet(replace(start.nodes, kept=np.array([0.0, 0.9])), start.mailboxes)
    placer = Placer(full)
    assert {placer.place(Newcomer(SMALL)).node for _ in range(20)} == {0}


def test_rules() -> None:
    together = Placer(fleet(1, 1, together=[7]))
    assert together.place(Newcomer(SMALL, together=7)).node == 0
    apart = Placer(fleet(1, 1, apart=[7]))
    assert apart.place(Newcomer(SMALL, apart=7)).node == 1
    with pytest.raises(Refused, match="kept apart"):
        apart.place(Newcomer(SMALL, apart=7))
    assert Placer(fleet(1, 1)).place(Newcomer(SMALL, pin=0)).reason == "ms1: it is pinned there."
    assert Placer(fleet(1, 1, states=[State.OPEN, State.DRAINED])).place(Newcomer(SMALL)).node == 0


@pytest.mark.parametrize("dimension", list(Dimension))
def test_a_refusal_names_what_is_missing(dimension: Dimension) -> None:
    demand = [0.0] * 4
    demand[dimension] = 5.0
    with pytest.raises(Refused, match=dimension.word):
        Placer(fleet(1, 1)).place(Newcomer(tuple(demand)))


def test_placing_reads_the_mailboxes_once() -> None:
    """The same node by node, however many there are."""
    placer = Placer(invented(3000, 4, 1, groups=True))
    assert not [name for name, value in vars(placer).items() if isinstance(value, np.ndarray) and len(value) > 4]
