"""What a plan is made of: moves in their order, what they bring, what they cost, what they could not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from roost.balance.fleet import Bytes, Fleet, Floats
from roost.balance.units import Places
from roost.domain.errors import BadSetting
from roost.domain.load import Dimension


class Cause(StrEnum):
    """Why a mailbox moves."""

    DRAIN = "drain"
    """Its node is being emptied."""

    RULE = "rule"
    """It is pinned to another node, its node does not offer its class of service, its group lives elsewhere, or one
    lives there whom it is kept apart from."""

    LOAD = "load"
    """Its node is too full."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a plan: mailboxes that go together from one node to another. Levels are those before the step."""

    mailboxes: tuple[int, ...]
    source: int
    target: int
    bytes: int
    cause: Cause
    dimension: Dimension
    """Of which the source has too little; of a drain and a rule, of which the target will have least."""

    source_level: float
    target_level: float
    takes: float
    """The part of what the source has in that dimension that goes."""

    logins: float
    """A day, of all of them; not a number where nobody knows."""

    def reason(self, fleet: Fleet, name: Callable[[int], str] = "mailbox {}".format) -> str:
        """Return one sentence with the figures; ``name`` tells what a mailbox is called."""
        source, target = fleet.nodes.names[self.source], fleet.nodes.names[self.target]
        who = name(self.mailboxes[0])
        if len(self.mailboxes) > 1:
            who += f" with {len(self.mailboxes) - 1} of the same group"
        if self.cause is Cause.DRAIN:
            return f"{source} is being emptied; {target} has room for {who}: its {self._at(self.target_level)}."
        if self.cause is Cause.RULE:
            return f"{who} belongs on {target} and not on {source}, by pin, class or group."
        polls = f"logs in {self.logins:,.0f} times a day and " if self.logins >= 1 else ""
        return (
            f"{source}'s {self._at(self.source_level)}, {target}'s at {_percent(self.target_level)}; "
            f"{who} {polls}takes {_percent(self.takes)} of {source}'s."
        )

    def _at(self, level: float) -> str:
        return f"{self.dimension.word} is at {_percent(level)}"


@dataclass(frozen=True)
class Budget:
    """What a plan may cost at most; None is no limit. Raises ``BadSetting`` for a limit below nothing."""

    bytes: int | None = None
    """Copied in all."""

    mailboxes: int | None = None
    """Moved in all."""

    pause_seconds: float | None = None
    """For which mailboxes are closed, added up."""

    def __post_init__(self) -> None:
        """Check them."""
        for name in ("bytes", "mailboxes", "pause_seconds"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                raise BadSetting(f"The budget of {name} cannot be negative.", field=name)

    def lasts(self, bytes: Bytes, mailboxes: Places, pause: float) -> int:
        """Return for how many of these moves it is enough, the first ones; each mailbox is closed for a ``pause``."""
        closed = np.cumsum(mailboxes)
        spent = ((self.bytes, np.cumsum(bytes)), (self.mailboxes, closed), (self.pause_seconds, closed * pause))
        return min([len(bytes), *(int((sums <= limit).sum()) for limit, sums in spent if limit is not None)])

    def less(self, bytes: int, mailboxes: int, pause: float) -> Budget:
        """Return what is left after these moves."""
        return Budget(
            bytes=None if self.bytes is None else self.bytes - bytes,
            mailboxes=None if self.mailboxes is None else self.mailboxes - mailboxes,
            pause_seconds=None if self.pause_seconds is None else max(0.0, self.pause_seconds - mailboxes * pause),
        )


@dataclass(frozen=True)
class Left:
    """A node that is fuller than it should be, or not empty, when the plan is done; and why."""

    node: int
    dimension: Dimension
    level: float
    mailboxes: int
    """Those that are still there: all of a drained node's, or those that may not live there."""

    why: str
    cause: Cause = Cause.LOAD

    def sentence(self, fleet: Fleet) -> str:
        """Return it in a sentence."""
        name, many = fleet.nodes.names[self.node], f"{self.mailboxes} mailbox{'' if self.mailboxes == 1 else 'es'}"
        if self.cause is Cause.RULE:
            return f"{many} on {name} should live elsewhere, by pin, class or group: {self.why}."
        there = f" with {many}" if self.mailboxes else ""
        return f"{name} stays at {self.level:.0%} of its {self.dimension.word}{there}: {self.why}."


@dataclass(frozen=True)
class Plan:
    """Moves in the order in which they should be made: the plan may be stopped after any of them.

    No move overfills a disk, and none depends on space that an earlier one has freed.
    """

    moves: tuple[Move, ...]
    goal: Floats
    """The level that no node should be above, for each dimension."""

    before: Floats
    after: Floats
    """Levels (nodes × dimensions) without the moves and with all of them."""

    left: tuple[Left, ...]
    fleet: Fleet
    """As it is after all moves; a plan for it is empty, but where the budget was short."""

    @property
    def bytes(self) -> int:
        """Return what is copied in all."""
        return sum(move.bytes for move in self.moves)

    @property
    def mailboxes(self) -> int:
        """Return how many mailboxes move."""
        return sum(len(move.mailboxes) for move in self.moves)


def _percent(level: float) -> str:
    """Return a level for people: 93 %, 0.8 %, 0.004 %."""
    value = 100 * level
    if value >= 10 or value == 0:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.095 else f"{value:.1g} %"
