"""What a storage node tells the controller of its mailboxes' load, every minute: little, and only what is news.

A mailbox is a row of 16 whole numbers: its number, since when it is measured (minutes, UNIX), the codes of six rates
with a half-life of an hour and of the same six with one of a week (``roost.domain.usage.Counts``, ``code_of``), its
size in KiB, its messages; -1 for a size that is not known. Patterns come beside, by number. The bounds keep a report
below a megabyte, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from roost.domain.node_load import NodeLoad, Strength
from roost.domain.usage import Counts, Load, Size
from roost.wire.agent_messages import Message

ROWS = 8000
"""Most mailboxes in one report,"""

PATTERNS = 2000
"""and most patterns."""

_MEASURES = len(Counts._fields)
_WIDTH = 2 + 2 * _MEASURES + 2
Row = Annotated[tuple[int, ...], Field(min_length=_WIDTH, max_length=_WIDTH)]
Pattern = Annotated[str, Field(pattern=r"^[0-9]{24}$")]


class UsageReport(Message):
    """One minute of a storage node. ``at`` is when the loads are true (minutes, UNIX).

    ``node`` is missing in the first minute; ``strength`` until it was measured, which answers request ``measured``.
    """

    at: int
    loads: list[Row] = Field(default=[], max_length=ROWS)
    patterns: dict[int, Pattern] = Field(default={}, max_length=PATTERNS)
    node: NodeLoad | None = None
    strength: Strength | None = None
    measured: int = 0


class UsageReply(Message):
    """Taken down, but for ``foreign``: numbers whose home the node is not, which it can forget.

    ``priors`` are loads that the cluster knows for longer than the node says (their rows begin with when they were
    true): it goes on from them and tells again. ``measure`` is the number of the last request to measure the machine.
    """

    foreign: list[int] = Field(default=[])
    priors: list[tuple[int, Row]] = Field(default=[])
    patterns: dict[int, Pattern] = Field(default={})
    measure: int = 0


def row_of(load: Load) -> tuple[int, ...]:
    """Return a load as a row; its bytes become KiB, rounded up."""
    size = (-1, -1) if load.size is None else (-(-load.size.bytes // 1024), load.size.messages)
    return (load.number, load.since, *load.hour, *load.week, *size)


def load_of(row: tuple[int, ...], at: int, pattern: str = "") -> Load:
    """Return the load of a row."""
    number, since, *codes, kibibytes, messages = row
    size = None if kibibytes < 0 else Size(kibibytes * 1024, messages)
    return Load(number, since, at, tuple(codes[:_MEASURES]), tuple(codes[_MEASURES:]), size, pattern)


def loads_in(report: UsageReport) -> Iterator[Load]:
    """Yield the loads of a report."""
    for row in report.loads:
        yield load_of(row, report.at, report.patterns.get(row[0], ""))


def priors_in(reply: UsageReply) -> Iterator[Load]:
    """Yield the priors of a reply."""
    for at, row in reply.priors:
        yield load_of(row, at, reply.patterns.get(row[0], ""))


def reply_of(foreign: Iterable[int], priors: Iterable[Load], measure: int) -> UsageReply:
    """Return the reply."""
    known = list(priors)
    return UsageReply(
        foreign=sorted(foreign),
        priors=[(load.at, row_of(load)) for load in known],
        patterns={load.number: load.pattern for load in known if load.pattern},
        measure=measure,
    )
