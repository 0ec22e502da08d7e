"""The proof of a hand-over: what both sides held at that moment, signed with the cluster's CA key.

The certificate is canonical JSON: ``body`` is itself canonical JSON text, so that its bytes stay what was signed, and
``signature`` is ECDSA with SHA-256 over them (DER, base64), as ``openssl dgst`` verifies it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from roost.control.authority import Authority
from roost.domain.errors import BadSetting
from roost.domain.evidence import Evidence, differences
from roost.domain.move import Move

_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class HandOver:
    """What the source says of the hand-over: both sides' evidence, and for how long the mailbox was closed."""

    source: Evidence
    target: Evidence
    pause_ms: int
    versions: dict[str, str]

    @classmethod
    def of_body(cls, body: str) -> HandOver:
        """Read the body of a report; raises ``BadSetting``."""
        try:
            found = json.loads(body)
            versions = {str(node): str(version) for node, version in found.get("versions", {}).items()}
            source, target = (Evidence.of_text(_canonical(found[side])) for side in ("source", "target"))
            return cls(source, target, int(found.get("pause_ms", 0)), versions)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadSetting(f"The report of the hand-over cannot be read: {error}.", field="body") from error

    def faults(self, move: Move) -> list[str]:
        """Return in sentences why this proves nothing; empty where it does."""
        found = differences(self.source, self.target)
        if move.deep and not (self.source.deep and self.target.deep):
            found.append("Contents were to be compared, and were not.")
        return found


@dataclass(frozen=True)
class Certificate:
    """A certificate read: the text that was signed, and its signature."""

    body: str
    signature: str

    @classmethod
    def of_text(cls, text: str) -> Certificate:
        """Read what ``issue`` wrote."""
        found = json.loads(text)
        return cls(found["body"], found["signature"])


def issue(move: Move, over: HandOver, authority: Authority, now: datetime) -> str:
    """Return the certificate of a move that was handed over."""
    body: dict[str, Any] = {
        "move": move.id,
        "address": str(move.address),
        "number": move.number,
        "source": move.source,
        "target": move.target,
        "asked": move.asked.astimezone(UTC).isoformat(),
        "handed over": now.astimezone(UTC).isoformat(),
        "pause_ms": over.pause_ms,
        "attempts": move.attempts,
        "versions": over.versions,
        "evidence": {"source": json.loads(over.source.text()), "target": json.loads(over.target.text())},
    }
    text = _canonical(body)
    return _canonical({"body": text, "signature": authority.sign_text(text)})
