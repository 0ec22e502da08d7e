"""Invented fleets for tests: heavy-tailed users on unequal nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from roost.balance.fleet import Fleet, Mailboxes, Nodes, State
from roost.domain.load import Capacity


def invented(
    mailboxes: int,
    nodes: int,
    seed: int,
    *,
    groups: bool = False,
    states: Sequence[State] = (),
    fullness: float = 0.6,
    io: float | None = None,
    memory: float | None = None,
    disk: float | None = None,
) -> Fleet:
    """Return a fleet. ``fullness`` is what is taken of all nodes' capacity, in each dimension where nothing else is
    said; ``states`` are those of the first nodes; ``groups`` adds every sort of rule."""
    chance = np.random.default_rng(seed)
    polls = np.exp(chance.uniform(0, np.log(2880), mailboxes))
    size = chance.lognormal(18, 1.5, mailboxes).astype(np.int64)
    noise = chance.lognormal(0, 0.3, (mailboxes, 2))
    demand = np.stack([polls * noise[:, 0], polls * noise[:, 1] + 50, 1e6 + size * 1e-3, size], axis=1)
    weight = chance.uniform(0.5, 1.5, nodes)
    capacity = chance.uniform(0.7, 1.4, (nodes, 1)) * chance.uniform(0.9, 1.1, (nodes, 4))
    wanted = [fullness if given is None else given for given in (fullness, io, memory, disk)]
    capacity *= demand.sum(axis=0) / capacity.sum(axis=0) / wanted
    extra = {}
    if groups:
        few = chance.random((mailboxes, 4))
        extra = {
            "together": np.where(few[:, 0] < 0.2, chance.integers(0, 1 + mailboxes // 8, mailboxes), -1),
            "apart": np.where(few[:, 1] < 0.1, chance.integers(0, 1 + mailboxes // 20, mailboxes), -1),
            "classes": np.where(few[:, 2] > 0.7, chance.integers(0, 4, mailboxes), 0),
            "pin": np.where(few[:, 2] < 0.05, chance.integers(0, nodes, mailboxes), -1),
            "stays": few[:, 3] < 0.1,
        }
    given = [*states, *[State.OPEN] * nodes][:nodes]
    return Fleet(
        Nodes.of(
            [f"ms{number + 1}" for number in range(nodes)],
            [Capacity(*row) for row in capacity.tolist()],
            state=given,
            classes=chance.integers(1, 4, nodes) if groups else None,
        ),
        Mailboxes.of(chance.choice(nodes, mailboxes, p=weight / weight.sum()), demand, size, logins=polls, **extra),
    )
