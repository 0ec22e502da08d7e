"""A row of ``recipients`` and what Postfix is told for it.

======================  ======================================  ========================================
table                   key                                     value
======================  ======================================  ========================================
recipients: virtual(5)  ``john@example.com``                    ``john@john.pop.example.com``
hops: transport(5)      ``john.pop.example.com``                ``lmtp:inet:[ms1.example.net]:24``
hops, ours              NUL ``john.pop.example.com``            ``john@example.com``: whose hostname it is
refusals: access(5)     ``john@example.com``                    ``550 5.2.1 This mailbox is suspended``
======================  ======================================  ========================================

An alias or group has a row in ``recipients`` only. Whose a hostname is must be known, because an alias may lead
to somebody's personal address and must not take its next hop along when it goes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from roost.domain.desired import Value
from roost.domain.errors import DaemonFailed

OURS = "\0"
"""Begins a key that Postfix never asks for."""

# What RFC 5322 calls specials would end an address or begin a comment in the value of an alias.
_ADDRESS = re.compile(r"[^\s\x00-\x20()<>\[\]:;@\\,\"]+@[a-z0-9.-]+")
_HOST = re.compile(r"[a-z0-9.-]+")
_REPLY = re.compile(r"[45]\d\d [\x20-\x7e]+")
_HOP = re.compile(r"lmtp:inet:\[([a-z0-9.-]+)\]:(\d+)")


@dataclass(frozen=True)
class Entry:
    """One row in Postfix's words; ``hostname`` and ``hop`` are '' for an alias, ``refusal`` for no refusal."""

    alias: str
    hostname: str
    hop: str
    refusal: str


def owner_key(hostname: str) -> str:
    """Return the key that tells whose hostname it is."""
    return OURS + hostname


def entry_of(key: str, value: Value, port: int) -> Entry:
    """Return what Postfix is to be told; raises ``DaemonFailed`` for a row that it would misunderstand."""
    to, home, refusal = value.get("to"), value.get("hop"), value.get("refuse")
    if (
        not isinstance(to, list)
        or not to
        or not all(_ADDRESS.fullmatch(address) for address in (key, *to))
        or not isinstance(home, str)
        or (home and (len(to) != 1 or not _HOST.fullmatch(home)))
        or not isinstance(refusal, str)
        or (refusal and not _REPLY.fullmatch(refusal))
    ):
        raise DaemonFailed(f"The row {key!r} of recipients cannot be given to Postfix: {value!r}")
    if not home:
        return Entry(", ".join(to), "", "", refusal)
    return Entry(to[0], hostname_in(to[0]), f"lmtp:inet:[{home}]:{port}", refusal)


def value_of(alias: str, hop: str, refusal: str, port: int) -> Value:
    """Return a row as Postfix has it; what was changed by hand shows as it is."""
    found = _HOP.fullmatch(hop)
    home = found.group(1) if found and found.group(2) == str(port) else hop
    return {"to": alias.split(", "), "hop": home, "refuse": refusal}


def hostname_in(alias: str) -> str:
    """Return the domain of the one address in an alias, '' where it holds several."""
    return "" if "," in alias else alias.rpartition("@")[2]


def home_in(hop: str) -> str:
    """Return the home in a next hop, '' where there is none."""
    found = _HOP.fullmatch(hop)
    return found.group(1) if found else ""
