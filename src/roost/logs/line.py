"""What all forms of lines have in common: the time, the grammar of addresses, and how long a text may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAY = 86_400_000_000
"""Microseconds of a day."""

# What strangers choose can be as long as they like; more than this of it is of no use to anybody.
_LONGEST = 1000

ADDRESS = r'[^"<>\[]*(?:(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\])[^"<>\[]*)*'
"""An address between angle brackets: a bracket in it stands in a quoted local part or in an address literal only
(RFC 5321 section 4.1.2; Postfix quotes so since 3.5, ``info_log_address_format``)."""


@lru_cache(maxsize=4096)
def _minute(text: str) -> int:
    """Return the microseconds of a minute's begin; kept, as many lines have the same."""
    return micros_of(datetime.fromisoformat(text).replace(tzinfo=UTC))


def micros(stamp: str) -> int:
    """Return microseconds since the epoch; raises ``ValueError`` where it is no stamp of ours."""
    if len(stamp) != 32 or stamp[19] != "." or stamp[26:] != "+00:00":
        raise ValueError(f"{stamp!r} is no time in UTC with microseconds")
    return _minute(stamp[:16]) + int(stamp[17:19] + stamp[20:26])


def moment(at: int) -> datetime:
    """Return the time of so many microseconds since the epoch."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def micros_of(at: datetime) -> int:
    """Return a time as microseconds since the epoch."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def clip(text: str) -> str:
    """Return a text, cut where it is longer than anybody reads."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
