"""Cuts a move at exactly one of its points: halts both agents there, breaks something, and lets go.

A point is a step at which an agent halts itself where root wants it (``roost.agent.moving.steps``); the other one is
halted at once. *After* a point means at that step, *before* it at the one before: nothing of it has been done yet. To
begin with the halting and then to break is what makes a cut exact: what comes next cannot overtake it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from roost.lab.cluster import Cluster
from roost.lab.machine import Machine
from roost.lab.program import Program

When = Literal["before", "after"]
Part = Literal["source", "target"]

AGENT = "roost-agent.service"

AWAY = 8.0
"""Seconds for which what was cut stays away: longer than any hold."""


@dataclass(frozen=True)
class Point:
    """One point: the step's name, and whose it is."""

    name: str
    part: Part


POINTS = (
    Point("orders", "target"),
    Point("pass", "target"),
    Point("proof", "target"),
    Point("hold", "source"),
    Point("held", "source"),
    Point("last-pass", "target"),
    Point("compare", "target"),
    Point("admit", "target"),
    Point("given-away", "source"),
    Point("opened", "target"),
)
"""All of them, in their order."""

VICTIMS = ("controller", "source agent", "target agent", "source machine", "target machine", "network")

_GIVEN_AWAY = [point.name for point in POINTS].index("given-away")


@dataclass(frozen=True)
class Cut:
    """Where, when, and what is broken."""

    point: str
    when: When
    victim: str

    def __str__(self) -> str:
        return f"{self.when} {self.point}, {self.victim}"

    @property
    def at(self) -> Point | None:
        """Return the point at whose line the agents are halted; None for the very beginning."""
        place = [point.name for point in POINTS].index(self.point)
        if self.when == "after":
            return POINTS[place]
        return POINTS[place - 1] if place else None

    @property
    def given_away(self) -> bool:
        """Say whether the target owned the mailbox already."""
        at = self.at
        return at is not None and POINTS.index(at) >= _GIVEN_AWAY

    @property
    def owner_away(self) -> bool:
        """Say whether the user cannot be served while the victim is away, by whatever design.

        After the hand-over the target is the home; who still comes to the source needs the way between them.
        """
        if self.given_away:
            return self.victim in {"target machine", "network", "source machine"}
        return self.victim == "source machine"


def matrix() -> list[Cut]:
    """Return every cut there is."""
    return [Cut(point.name, when, victim) for point in POINTS for when in ("before", "after") for victim in VICTIMS]


class Halted:
    """Both agents of a move, watched and halted."""

    def __init__(self, machines: dict[Part, Machine], at: Point | None) -> None:
        self._at = at
        self._programs = {
            part: Program(
                machine,
                "halt.py",
                {"unit": AGENT, "step": at.name if at and at.part == part else ""},
            )
            for part, machine in machines.items()
        }
        for program in self._programs.values():
            program.wait_for(lambda event: event["what"] == "ready")

    def wait(self, seconds: float = 60) -> None:
        """Wait until the point is reached, and halt the other agent, too."""
        if self._at is not None:
            self._programs[self._at.part].wait_for(lambda event: event["what"] == "reached", seconds)
        for part, program in self._programs.items():
            if self._at is None or part != self._at.part:
                program.say("halt")
                program.wait_for(lambda event: event["what"] == "halted")

    def go(self, *, but: Part | None = None) -> None:
        """Let them go on; one whose machine is off has nothing that could."""
        for part, program in self._programs.items():
            if part != but:
                program.say("go")

    def close(self) -> None:
        """End the watching."""
        for program in self._programs.values():
            program.end()


@contextmanager
def broken(cluster: Cluster, cut: Cut, source: Machine, target: Machine, halted: Halted) -> Iterator[None]:
    """Break what the cut says, let the agents go, and mend it after the body."""
    part: Part = "source" if cut.victim.startswith("source") else "target"
    machine = {"source": source, "target": target}[part]
    if cut.victim == "controller":
        cluster.control.kill()
        halted.go()
        yield
        cluster.control.boot()
    elif cut.victim.endswith("agent"):
        # The signal waits until the process runs; KILL does not, so it never comes to its next line.
        machine.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", AGENT])
        halted.go(but=part)
        yield
    elif cut.victim.endswith("machine"):
        machine.kill()
        halted.go(but=part)
        yield
        machine.boot()
    else:
        source.cut(target)
        halted.go()
        yield
        source.join(target)


def stay_away(cut: Cut, began: float) -> None:
    """Wait as long as what was cut stays away. An agent comes back by itself (``Restart=always``)."""
    if not cut.victim.endswith("agent"):
        while (left := began + AWAY - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
