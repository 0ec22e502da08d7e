"""What a prober and the controller say to each other, and what administrators are told of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from roost.domain.probe import Door, Login, Mail, NamedBox, Round, Task
from roost.wire.agent_messages import Message
from roost.wire.resources import Resource, Warned


class ProbeRequest(Message):
    """A prober asks what to try, and brings its last round where the controller has not had it.

    ``asked`` is the number of the last round that was asked for, as far as it knows; the answer is held for up to
    ``wait`` seconds while no other is.
    """

    asked: int = 0
    found: Round | None = None
    wait: float = Field(default=0.0, ge=0, le=60)


class ProbeReply(Message):
    """What to try. The passwords in it are for this node's memory only."""

    task: Task


class ProberView(Resource):
    """A prober and its last round; without ``at`` there was none since the controller started.

    ``number`` is that of the last round asked for which this one answers. ``mails`` are by MX and storage node,
    ``logins`` by DNS server and storage node, ``doors`` by storage node and protocol; ``seconds`` is how long the
    round took. ``backups`` are those of the MX hosts that hand on to the others.
    """

    node: str
    at: datetime | None = None
    number: int = 0
    seconds: float = 0.0
    mails: list[Mail] = Field(default=[])
    logins: list[Login] = Field(default=[])
    doors: list[Door] = Field(default=[])
    boxes: list[NamedBox] = Field(default=[])
    backups: list[str] = Field(default=[])


class ProbeView(Resource):
    """The probe: ``every`` so many seconds (0: never), ``asked`` is the number of the last round asked for."""

    every: int
    asked: int
    probers: list[ProberView]
    findings: list[Warned]
