"""What a machine does and what it can: figures of a minute, and how strong it is. Pure.

Of a machine's figures the controller learns what a login or a megabyte costs on it, and when it is saturated: work
that waits (``pressure``) says so before anything is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from roost.domain.usage import Counts


@dataclass(frozen=True)
class NodeLoad:
    """One minute of one storage node; all but sizes and delays are of a second, on average."""

    seconds: float
    """How long the minute was."""

    cpu: float = 0.0
    """Processors that were busy: 1.5 is one and a half."""

    waiting: float = 0.0
    """Processors that had nothing to do but wait for the disk."""

    running: float = 0.0
    """Processes that ran or wanted to, when it was looked."""

    reads: float = 0.0
    writes: float = 0.0
    """Operations of the disk,"""

    bytes_read: float = 0.0
    bytes_written: float = 0.0
    """and their bytes; of whole disks."""

    pressure_cpu: float = 0.0
    pressure_io: float = 0.0
    pressure_memory: float = 0.0
    """Share of the time in which some process waited for the processor, the disk or memory (PSI); 0 to 1."""

    memory: float = 0.0
    memory_available: float = 0.0
    disk: float = 0.0
    disk_free: float = 0.0
    """Bytes: of the machine's memory, of the file system that holds the mail."""

    greeting: float = 0.0
    """Seconds until the IMAP server has greeted a new connection; 0 where it did not."""

    login: float = 0.0
    """Seconds that the probe's last login took; 0 where there was none. The node does not know it: the controller
    does."""

    logins: float = 0.0
    deliveries: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0
    connected: float = 0.0
    mail_cpu: float = 0.0
    """What all mailboxes together did: see ``roost.domain.usage.Counts``."""

    refused: float = 0.0
    """Counts of mailboxes that could not be believed."""


NODE_LOAD = tuple(field.name for field in fields(NodeLoad))
_SHARES = ("pressure_cpu", "pressure_io", "pressure_memory")


def is_possible(load: NodeLoad) -> bool:
    """Say whether every figure may be: a number, not negative, a share not above 1, the minute not an hour."""
    values = asdict(load)
    return (
        all(math.isfinite(value) and value >= 0 for value in values.values())
        and all(values[name] <= 1 for name in _SHARES)
        and 0 < load.seconds <= 3600
        and load.disk_free <= load.disk
        and load.memory_available <= load.memory
    )


@dataclass(frozen=True)
class Counters:
    """A machine's counters, which only grow until it restarts. ``pressure`` in seconds, by resource."""

    cpu: float
    waiting: float
    reads: int
    writes: int
    bytes_read: int
    bytes_written: int
    pressure: Mapping[str, float]


@dataclass(frozen=True)
class Look:
    """A machine, looked at: its counters, and what is true of the moment. Sizes in bytes; see ``NodeLoad``."""

    counters: Counters
    running: int
    memory: int
    memory_available: int
    disk: int
    disk_free: int
    greeting: float


def minute(before: Look, after: Look, seconds: float, counts: Counts, refused: int) -> NodeLoad | None:
    """Return a machine's minute, with what all mailboxes did in it; None where the machine has restarted."""
    grown = between(before.counters, after.counters, seconds)
    if not grown:
        return None
    moment = {name: value for name, value in vars(after).items() if name != "counters"}
    return NodeLoad(seconds, **grown, **moment, **of_mailboxes(counts, seconds), refused=refused / seconds)


def between(before: Counters, after: Counters, seconds: float) -> dict[str, float]:
    """Return the rates between two looks, as fields of ``NodeLoad``; nothing where the counters began anew."""
    names = ("cpu", "waiting", "reads", "writes", "bytes_read", "bytes_written")
    grown = {name: float(getattr(after, name) - getattr(before, name)) for name in names}
    for resource, total in after.pressure.items():
        grown[f"pressure_{resource}"] = total - before.pressure.get(resource, total)
    if seconds <= 0 or min(grown.values()) < 0:
        return {}
    rates = {name: value / seconds for name, value in grown.items()}
    return {name: min(rate, 1.0) if name in _SHARES else rate for name, rate in rates.items()}


def of_mailboxes(counts: Counts, seconds: float) -> dict[str, float]:
    """Return what all mailboxes together did, as fields of ``NodeLoad``."""
    rates = {name: value / seconds for name, value in counts._asdict().items()}
    rates["mail_cpu"] = rates.pop("cpu")
    return rates


@dataclass(frozen=True)
class Strength:
    """How strong a machine is; 0 is not known.

    ``cpu`` in reference processors (``roost.host.strength``), ``io`` in synced writes of the disk a second,
    ``memory`` and ``disk`` in bytes. The spreads are those of the measuring: 0.1 is ten percent between its runs.
    ``processors`` is how many the machine may use.
    """

    cpu: float = 0.0
    io: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    cpu_spread: float = 0.0
    io_spread: float = 0.0
    processors: float = 0.0

    @property
    def speed(self) -> float:
        """Return how many reference processors one of its own is worth; 1 where that is not known."""
        return self.cpu / self.processors if self.cpu and self.processors else 1.0


MEASURES = ("cpu", "io", "memory", "disk")


def declared_over(measured: Strength, declared: Mapping[str, float]) -> Strength:
    """Return the strength that counts: what was declared, and for the rest what was measured."""
    return Strength(**{**asdict(measured), **{name: declared[name] for name in MEASURES if declared.get(name)}})
