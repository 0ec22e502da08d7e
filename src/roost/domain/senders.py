"""Whom a domain or a user of ours allows and denies: rows for the filter of every MX.

``owner`` is one of our domains (for all its recipients) or an address of ours (for that one, with its subaddresses).
``sender`` is an address, a domain (itself, nothing below it) or an IP address of the client. A user's own entry comes
before his domain's, one about an address before one about a domain, that before one about a client.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from roost.domain.desired import Row, Table
from roost.domain.errors import BadName, RoostError
from roost.domain.names import Address, host_name


class Verdict(StrEnum):
    """What is to happen with mail from a sender."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True)
class SenderEntry:
    """One entry of a list. Owner and sender are in canonical form."""

    owner: str
    sender: str
    verdict: Verdict

    @property
    def domain(self) -> str:
        """Return the domain of the owner."""
        return self.owner.rpartition("@")[2]


def owner_of(text: str) -> str:
    """Return an owner in canonical form; raises ``BadAddress`` or ``BadName``."""
    return str(Address.parse_own(text, field="owner")) if "@" in text else host_name(text, field="owner")


def sender_of(text: str) -> str:
    """Return a sender in canonical form; raises ``BadName`` or ``BadAddress``."""
    stripped = text.strip()
    try:
        return str(ipaddress.ip_address(stripped))
    except ValueError:
        pass
    if "@" in stripped:
        return str(Address.parse(stripped, field="sender"))
    try:
        return host_name(stripped, field="sender")
    except RoostError as error:
        raise BadName(
            f"{text!r} is no sender.",
            field="sender",
            remedy="Give an address (bad@spam.example), a domain (spam.example) or an IP address (192.0.2.7).",
        ) from error


def row_of(entry: SenderEntry) -> Row:
    """Return the row that an entry gives. No owner has a blank in it."""
    return Row(Table.SENDERS, "", f"{entry.owner} {entry.sender}", {"verdict": str(entry.verdict)})
