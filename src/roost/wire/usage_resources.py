"""What administrators are told of the use of mailboxes and nodes."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from roost.wire.resources import Resource


class RatesView(Resource):
    """What is done in a second. ``connected`` is how many sessions are open, ``cpu`` how many processors work."""

    logins: float
    deliveries: float
    bytes_in: float
    bytes_out: float
    connected: float
    cpu: float


class LoadView(Resource):
    """What a mailbox is used, as its home ``home`` has said ``at``; nothing is known of one without that.

    ``since`` is when measuring began. ``hour`` is what it does now (rates with a half-life of an hour), ``week`` what
    it usually does. ``pattern`` has 24 digits, how much is done in two hours of working days, then of weekends
    (UTC), 9 in the busiest.
    """

    address: str
    home: str
    since: datetime | None = None
    at: datetime | None = None
    hour: RatesView | None = None
    week: RatesView | None = None
    bytes: int | None = None
    messages: int | None = None
    pattern: str = ""


class MinuteView(Resource):
    """One minute of a storage node, in each second of it on average.

    ``cpu`` is how many processors were busy, ``waiting`` how many had nothing to do but wait for the disk. Pressures
    are the share of the time in which some process waited. ``greeting`` is the seconds until the IMAP server has
    greeted, ``login`` those of the probe's last login; 0 where there was none. The rest, from ``logins``, is what all
    mailboxes together did; ``mail_cpu`` are the processors that worked for them.
    """

    at: datetime
    seconds: float
    cpu: float
    waiting: float
    running: float
    reads: float
    writes: float
    bytes_read: float
    bytes_written: float
    pressure_cpu: float
    pressure_io: float
    pressure_memory: float
    memory: float
    memory_available: float
    disk: float
    disk_free: float
    greeting: float
    login: float
    logins: float
    deliveries: float
    bytes_in: float
    bytes_out: float
    connected: float
    mail_cpu: float
    refused: float


class StrengthView(Resource):
    """How strong a node is; 0 is not known. ``cpu`` in reference processors, ``io`` in synced writes a second.

    A spread is (greatest - least) / median of three runs of the measuring: 0.1 is ten percent. ``processors`` is how
    many the machine may use.
    """

    cpu: float
    io: float
    memory: float
    disk: float
    cpu_spread: float = 0.0
    io_spread: float = 0.0
    processors: float = 0.0


class NodeLoadView(Resource):
    """A storage node: its last minutes, the oldest first, and how strong it is.

    ``strength`` is what counts: what was ``declared``, and for the rest what the node has ``measured`` itself.
    """

    node: str
    mailboxes: int
    minutes: list[MinuteView] = Field(default=[])
    strength: StrengthView
    measured: StrengthView | None = None
    measured_at: datetime | None = None
    declared: dict[str, float] = Field(default={})
