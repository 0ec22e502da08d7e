"""Weeks of a fleet's life, with the very placement, prediction and plan that a cluster has.

Every day: some users change their habits, mailboxes grow, newcomers are placed, a node may be away, loads are
measured (not exactly), peaks are predicted from that, a plan is made within the day's budget, and carried out. Beside
it lives the same fleet as round robin would have it: newcomers in turn, nobody moves. What is told of a day is the
real peak of its busiest hour on both.

Chance comes from one generator with a given seed, so a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from roost.balance.fleet import Fleet, Floats, Mailboxes, Nodes, Numbers, Peaks, State
from roost.balance.goals import RULES, Rules
from roost.balance.moves import Budget
from roost.balance.place import Newcomer, Placer
from roost.balance.plan import UNLIMITED, plan
from roost.balance.predict import peaks
from roost.balance.synthetic import Users, in_turn, taken, users, week
from roost.domain.load import Dimension

_COOLS = 14
"""Days for which a mailbox that has moved stays."""

_NOISE = 0.05
_NEVER = -1000


@dataclass(frozen=True)
class Scenario:
    """What happens in a simulation, besides the load that it begins with."""

    days: int = 28
    growth: float = 0.001
    """New mailboxes a day, as a part of those that there are."""

    swelling: float = 0.001
    """By how much each mailbox grows a day, as a part of its size."""

    change: float = 0.005
    """The part of the users who take up other habits, each day."""

    deaths: int = 0
    """How many times a node goes away, for ``away`` days."""

    away: int = 1
    every: int = 1
    """Days from one plan to the next."""

    keep_days: int = 7
    budget: Budget = UNLIMITED
    """Of each plan."""

    rules: Rules = RULES
    seed: int = 1


@dataclass(frozen=True)
class Day:
    """What a day brought. Levels are those of the busiest hour, 1 being all that a node has; closed nodes aside."""

    day: int
    mailboxes: int
    worst: float
    worst_node: str
    worst_dimension: Dimension
    spread: float
    """How much fuller the fullest processor is than all on average: 1 is quite even."""

    unbalanced: float
    """The worst level as round robin has it."""

    moved: int
    bytes: int
    away: int
    """Mailboxes whose node is away."""

    processors: tuple[float, ...]
    """The processor's level on each node."""

    processors_unbalanced: tuple[float, ...]
    """The same as round robin has it."""


def simulate(nodes: Nodes, home: Numbers, start: Users, scenario: Scenario) -> Iterator[Day]:
    """Yield the days, one after the other."""
    chance = np.random.default_rng(scenario.seed)
    life = _Life(nodes, home, start, scenario, chance)
    begins = chance.integers(0, max(1, scenario.days), scenario.deaths)
    victims = chance.integers(0, len(nodes), scenario.deaths)
    for day in range(scenario.days):
        dead = {int(v) for v, begin in zip(victims, begins, strict=True) if begin <= day < begin + scenario.away}
        yield life.live(day, dead)


class _Life:
    """The fleet as it is, and as round robin would have it."""

    def __init__(
        self, nodes: Nodes, home: Numbers, start: Users, scenario: Scenario, chance: np.random.Generator
    ) -> None:
        self._nodes, self._scenario, self._chance = nodes, scenario, chance
        self._home, self._fixed = home.copy(), home.copy()
        self._usual, self._size, self._logins = start.usual.copy(), start.size.copy(), start.logins.copy()
        self._moved_on = np.full(len(home), _NEVER, np.int16)
        self._kept: dict[int, Floats] = {}
        self._week = week()

    def live(self, day: int, dead: set[int]) -> Day:
        """Let a day pass and tell of it."""
        scenario = self._scenario
        states = [State.CLOSED if node in dead else State.OPEN for node in range(len(self._nodes))]
        kept = sum((b for at, b in self._kept.items() if day - at < scenario.keep_days), np.zeros(len(self._nodes)))
        nodes = replace(self._nodes, state=np.array(states, np.int8), kept=kept)
        self._change()
        self._grow(day, nodes)
        moved = copied = 0
        if day % scenario.every == 0:
            fleet = self._measured(day, nodes)
            found = plan(fleet, scenario.budget, scenario.rules)
            moved, copied = found.mailboxes, found.bytes
            changed = found.fleet.mailboxes.home != self._home
            self._moved_on[changed] = day
            self._home = found.fleet.mailboxes.home.copy()
            self._kept[day] = found.fleet.nodes.kept - kept
        return self._told(day, nodes, moved, copied)

    def _change(self) -> None:
        """Let users take up other habits, and mailboxes grow."""
        scenario, chance = self._scenario, self._chance
        who = np.flatnonzero(chance.random(len(self._home)) < scenario.change)
        new = users(len(who), chance)
        self._logins[who] = new.logins
        self._usual[who] = taken(new.logins, self._size[who], chance)
        self._size = (self._size * (1 + scenario.swelling)).astype(np.int64)
        self._usual[:, Dimension.DISK] = self._size

    def _grow(self, day: int, nodes: Nodes) -> None:
        """Place newcomers, of whom nothing is known yet but what all are like on average."""
        count = round(len(self._home) * self._scenario.growth)
        if not count or not nodes.open.any():
            return
        expected = self._real().mean(axis=0)
        placer = Placer(self._measured(day, nodes), self._scenario.rules)
        homes = [placer.place(Newcomer(tuple(expected.tolist()))).node for _ in range(count)]
        new = users(count, self._chance)
        turns = (in_turn(count, len(nodes)) + len(self._home)) % len(nodes)
        self._fixed = np.append(self._fixed, turns).astype(np.int32)
        self._home = np.append(self._home, homes).astype(np.int32)
        self._usual = np.concatenate([self._usual, new.usual])
        self._size, self._logins = np.append(self._size, new.size), np.append(self._logins, new.logins)
        self._moved_on = np.append(self._moved_on, np.full(count, _NEVER, np.int16))

    def _measured(self, day: int, nodes: Nodes) -> Fleet:
        """Return what the controller would know."""
        noise = self._chance.lognormal(0, _NOISE, (len(self._usual), 1)).astype(np.float32)
        usual: Floats = (self._usual * noise).astype(np.float64)
        found = peaks(usual, usual, self._week, day * 24, nodes.capacity.max(axis=0))
        cooling = day - self._moved_on < _COOLS
        boxes = Mailboxes.of(self._home, found.demand, self._size, stays=found.stays | cooling, logins=self._logins)
        return Fleet(nodes, boxes)

    def _real(self) -> Peaks:
        """Return what is really taken in the busiest hour."""
        high = np.float32(self._week.max())
        return self._usual * np.array([high, high, 1, 1], np.float32)

    def _told(self, day: int, nodes: Nodes, moved: int, copied: int) -> Day:
        real = self._real()
        is_open = nodes.open if nodes.open.any() else np.ones(len(nodes), np.bool_)
        levels = Fleet(nodes, Mailboxes.of(self._home, real, self._size)).levels
        other = Fleet(nodes, Mailboxes.of(self._fixed, real, self._size)).levels
        shown = np.where(is_open[:, None], levels, -1)
        node, dimension = np.unravel_index(int(np.argmax(shown)), shown.shape)
        processors = levels[is_open, Dimension.CPU]
        return Day(
            day=day + 1,
            mailboxes=len(self._home),
            worst=float(shown.max()),
            worst_node=nodes.names[int(node)],
            worst_dimension=Dimension(int(dimension)),
            spread=float(processors.max() / max(processors.mean(), 1e-12)),
            unbalanced=float(other[is_open].max()),
            moved=moved,
            bytes=copied,
            away=int((~nodes.open)[self._home].sum()),
            processors=tuple(levels[:, Dimension.CPU].tolist()),
            processors_unbalanced=tuple(other[:, Dimension.CPU].tolist()),
        )
