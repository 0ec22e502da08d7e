"""How a move is going, as its nodes say: kept in memory, and written down with the next change of its state."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from roost.domain.errors import BadSetting


@dataclass(frozen=True)
class Progress:
    """``rate`` is in bytes a second; ``bytes`` is what went over the wire, ``total_bytes`` the mailbox's size.

    ``pause_ms`` is for how long the mailbox was closed, once that is known. ``passed_on`` counts who came to the
    source after it gave the mailbox away, ``idle`` the seconds since the last of them (-1: nothing was said of it).
    ``trouble`` is what keeps the target from going on at the moment.
    """

    passes: int = 0
    messages: int = 0
    bytes: int = 0
    total_messages: int = 0
    total_bytes: int = 0
    rate: int = 0
    expected_pause_ms: int = 0
    pause_ms: int = 0
    passed_on: int = 0
    idle: int = -1
    trouble: str = ""

    def text(self) -> str:
        """Return it as JSON text, without what says nothing."""
        told = {name: value for name, value in asdict(self).items() if value != getattr(_NOTHING, name)}
        return json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":")) if told else ""

    @classmethod
    def of_text(cls, text: str) -> Progress:
        """Read what ``text`` wrote."""
        known = {field.name for field in fields(cls)}
        found = json.loads(text) if text else {}
        return cls(**{name: value for name, value in found.items() if name in known})

    def copied(self, body: str, words: str) -> Progress:
        """Return it after the target's report of a copy."""
        found = _object(body)
        octets, seconds = _whole(found, "octets"), found.get("seconds", 0)
        rate = octets / seconds if isinstance(seconds, int | float) and seconds > 0 else 0
        return replace(
            self,
            passes=_whole(found, "passes"),
            messages=_whole(found, "messages"),
            bytes=octets,
            total_messages=_whole(found, "total_messages"),
            total_bytes=_whole(found, "total_octets"),
            rate=round(rate),
            expected_pause_ms=_whole(found, "expected_pause_ms"),
            trouble=words,
        )

    def settled(self, body: str) -> Progress:
        """Return it after the source's report of whom it passed on."""
        found = _object(body)
        return replace(self, passed_on=_whole(found, "sessions"), idle=_whole(found, "idle"))


_NOTHING = Progress()


def _object(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else {}
    except ValueError as error:
        raise BadSetting("The report's body is no JSON.", field="body") from error
    if not isinstance(found, dict):
        raise BadSetting("The report's body is no JSON object.", field="body")
    return found


def _whole(found: dict[str, Any], name: str) -> int:
    value = found.get(name, 0)
    if not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise BadSetting(f"{name} is no number.", field="body")
    return int(value)
