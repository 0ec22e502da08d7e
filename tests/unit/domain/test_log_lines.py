"""Ports of log nodes, and doubles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roost.domain.logs import FIRST_PORT, MEMORY, PORTS, Doubles, ports_of


def test_every_node_has_a_port_of_its_own() -> None:
    names = [f"n{number}.cluster.test" for number in range(1000)]
    ports = ports_of(names)
    assert len(set(ports.values())) == 1000
    assert all(FIRST_PORT <= port < FIRST_PORT + PORTS for port in ports.values())
    assert ports_of(reversed(names)) == ports


def test_a_port_stays_while_others_come() -> None:
    few, more = ports_of(["mx1.cluster.test"]), ports_of([f"mx{number}.cluster.test" for number in range(1, 20)])
    assert more["mx1.cluster.test"] == few["mx1.cluster.test"]


@given(st.integers(1, 3000), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 700)), max_size=8))
def test_what_is_left_is_each_line_once_in_order(count: int, breaks: list[tuple[int, int]]) -> None:
    """A sender goes back now and then, by no more than it may."""
    sent, steps = [], dict(breaks)
    number = 0
    while number < count:
        sent.append(f"line {number}")
        number += 1
        number = max(0, number - steps.pop(number, 0))
    doubles = Doubles()
    assert [line for line in sent if not doubles.seen(line)] == [f"line {number}" for number in range(count)]


def test_equal_lines_far_apart_are_two() -> None:
    doubles = Doubles()
    lines = ["again", *map(str, range(MEMORY)), "again"]
    assert not any(doubles.seen(line) for line in lines)
