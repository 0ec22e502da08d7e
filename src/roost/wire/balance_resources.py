"""What administrators' programs and the API say to each other about spreading the load."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from roost.wire.resources import Resource

Row = list[float]
"""A figure for each dimension: cpu, io, memory, disk."""


class NewPlan(Resource):
    """What a plan may cost at most; None is no limit. ``pauses`` are the seconds for which mailboxes are closed."""

    moves: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    pauses: float | None = Field(default=None, ge=0)


class Supposed(NewPlan):
    """What would be different: machines more, each ``2x`` (twice as strong as the middle one) or like a node that is
    named, and nodes less."""

    add: list[str] = Field(default=[], max_length=100)
    remove: list[str] = Field(default=[], max_length=100)


class PlanStep(Resource):
    """Mailboxes that go together, and why. ``cause`` is ``load``, ``drain`` or ``rule``."""

    mailboxes: list[str]
    source: str
    target: str
    bytes: int
    cause: str
    reason: str


class NodeLevels(Resource):
    """How full a node is in each dimension (cpu, io, memory, disk), 1 being all that it has: in the week's busiest
    hour as it is, and after the plan. ``closed`` says why it neither gives nor takes."""

    node: str
    before: Row
    after: Row
    capacity: Row
    closed: str = ""


class CostsView(Resource):
    """What a login, a delivery, a megabyte in or out and an hour of a session cost, in seconds of a reference
    processor (besides what the mailbox's own processes take) and in operations of the disk.

    Learned from so many ``minutes`` of nodes; 0: from none, they are what is expected.
    """

    cpu: Row
    io: Row
    minutes: int


class PlanView(Resource):
    """A plan: its steps in the order in which they would be made. ``id`` is 0 for one that cannot be applied.

    ``goal`` is the level that no node should be above. ``left`` says what it could not do; ``refused`` of how many
    mailboxes the figures were not believed, by why; ``applied`` is the batch of its moves, '' where there is none.
    """

    id: int
    at: datetime
    mailboxes: int
    bytes: int
    steps: list[PlanStep]
    nodes: list[NodeLevels]
    goal: Row
    left: list[str]
    refused: dict[str, int]
    costs: CostsView
    applied: str = ""


class BalanceView(Resource):
    """How spreading the load by itself stands: whether it is on, within which limits, and what it says.

    ``plan`` is the number of the last plan, 0 for none.
    """

    auto: bool
    every: int
    moves: int
    bytes: int
    pauses: int
    rest_days: int
    hours: str
    said: str
    plan: int = 0


class ForecastView(Resource):
    """Of one node and dimension: its level in the week's busiest hour, how much it grows in a day, and in how many
    days it reaches ``limit``: at the earliest, likely, at the latest; null is never."""

    node: str
    dimension: str
    level: float
    a_day: float
    limit: float
    earliest: float | None
    likely: float | None
    latest: float | None
