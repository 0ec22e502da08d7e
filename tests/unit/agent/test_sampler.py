"""Gathering figures: each source in its turn, a slow one less often, a broken one counted."""

from __future__ import annotations

from collections.abc import Iterator

from roost.agent.figures.sampler import Sampler, Source
from roost.domain.errors import DaemonFailed
from roost.domain.figures import Figure


class Machine:
    """Sources that take time by a clock of the test's own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.takes = {"quick": 0.0, "slow": 3.0}
        self.broken = False
        self.sampler = Sampler(lambda: {name: self._source(name) for name in self.takes}, lambda: self.now)

    def _source(self, name: str) -> Source:
        def source() -> Iterator[Figure]:
            self.asked.append(name)
            self.now += self.takes[name]
            if self.broken:
                raise DaemonFailed("It is away.")
            yield Figure("roost_load_ratio" if name == "quick" else "roost_queue_cut", 1)

        return source

    def values(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return {(one.name, one.labels): one.value for one in self.sampler.told() if isinstance(one, Figure)}


def test_a_slow_source_is_asked_less_often() -> None:
    """Three seconds of work are followed by a minute without."""
    machine = Machine()
    for _ in range(7):
        machine.sampler.turn()
        machine.now += 10
    assert machine.asked.count("quick") == 7
    assert machine.asked.count("slow") == 2
    assert machine.values()["roost_queue_cut", ()] == 1, "its last word stays"


def test_a_source_that_fails_tells_nothing_and_is_counted() -> None:
    machine = Machine()
    machine.takes = {"quick": 0.0}
    machine.sampler.turn()
    assert machine.values() == {("roost_load_ratio", ()): 1, ("roost_figures_failed_total", ("quick",)): 0}
    machine.broken = True
    machine.sampler.turn()
    machine.sampler.turn()
    assert machine.values() == {("roost_figures_failed_total", ("quick",)): 2}
    machine.broken = False
    machine.sampler.turn()
    assert machine.values()["roost_load_ratio", ()] == 1


def test_a_source_that_is_gone_leaves_no_figures() -> None:
    """The node has lost a role."""
    machine = Machine()
    machine.sampler.turn()
    del machine.takes["slow"]
    machine.now += 100
    machine.sampler.turn()
    assert ("roost_queue_cut", ()) not in machine.values()
    assert machine.sampler.glance(7.0).load == 1
